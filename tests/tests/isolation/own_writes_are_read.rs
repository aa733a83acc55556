//! A transaction reads what it wrote, by key and by scan, and nobody else does before the commit.

use crate::case;

case!("w1(1=11) i1(3=30) d1(2) r1(1)=11 r1(2)=none r1(3)=30 p1(*)={1:11,3:30} p2(*)={1:10,2:20} r2(3)=none c1 p2(*)={1:10,2:20} c2 b3 p3(*)={1:11,3:30} c3", snapshot: "1=11 3=30", serializable: "1=11 3=30");
