//! Two deletes of one row conflict, and so do two of a row that is not there.

use crate::case;

case!("b1 b2 d1(1) d2(1) c1 c2! b3 b4 d3(7) w4(7=70) c4 c3!", snapshot: "2=20 7=70", serializable: "2=20 7=70");
