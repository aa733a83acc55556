//! A snapshot reads its moment for as long as it likes, whatever commits meanwhile.

use crate::case;

case!("s1 r1(1)=10 b2 w2(1=12) w2(2=18) c2 r1(1)=10 b3 d3(1) i3(3=30) c3 p1(*)={1:10,2:20} c1 s4 p4(*)={2:18,3:30} c4", snapshot: "2=18 3=30", serializable: "2=18 3=30");
