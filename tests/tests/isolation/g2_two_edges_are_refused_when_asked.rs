//! A read-only transaction in the middle completes a cycle: allowed under Snapshot, refused under Serializable.

use crate::case;

case!("b1 p1(*)={1:10,2:20} b2 W2(=20,25) c2 b3 p3(*)={1:10,2:25} c3 w1(1=0) c1~", snapshot: "1=0 2=25", serializable: "1=10 2=25");
