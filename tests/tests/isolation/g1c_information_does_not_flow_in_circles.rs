//! Two transactions never each read what the other wrote.

use crate::case;

case!("w1(1=11) w2(2=22) r1(2)=20 r2(1)=10 c1 c2~", snapshot: "1=11 2=22", serializable: "1=11 2=20");
