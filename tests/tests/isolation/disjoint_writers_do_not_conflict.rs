//! Transactions that write different rows all commit.

use crate::case;

case!("w1(1=11) w2(2=22) i3(3=33) i4(4=44) c4 c3 c2 c1", snapshot: "1=11 2=22 3=33 4=44", serializable: "1=11 2=22 3=33 4=44");
