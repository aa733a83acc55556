//! A second predicate is answered from the same snapshot as the first.

use crate::case;

case!("p1(%5)={1:10,2:20} W2(=10,12) c2 p1(%3)={} c1", snapshot: "1=12 2=20", serializable: "1=12 2=20");
