//! An update and a delete of one row conflict, whichever comes first.

use crate::case;

case!("b1 b2 w1(1=11) d2(1) c1 c2! b3 b4 d3(2) w4(2=21) c3 c4!", snapshot: "1=11", serializable: "1=11");
