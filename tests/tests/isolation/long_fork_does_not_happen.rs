//! Two readers do not see two independent commits in opposite orders.

use crate::case;

case!("b1 b2 w1(1=11) w2(2=22) s3 r3(1)=10 c1 s4 r4(1)=11 r4(2)=20 c2 r3(2)=20 r4(2)=20 r3(1)=10 b5 r5(1)=11 r5(2)=22 c5", snapshot: "1=11 2=22", serializable: "1=11 2=22");
