//! Two transactions that read both rows and write one each: allowed under Snapshot, refused under Serializable.

use crate::case;

case!("r1(1)=10 r1(2)=20 r2(1)=10 r2(2)=20 w1(1=11) w2(2=21) c1 c2~", snapshot: "1=11 2=21", serializable: "1=11 2=20");
