//! A transaction that wrote nothing commits, whatever it read.

use crate::case;

case!("p1(*)={1:10,2:20} b2 w2(1=12) w2(2=18) c2 p1(*)={1:10,2:20} c1", snapshot: "1=12 2=18", serializable: "1=12 2=18");
