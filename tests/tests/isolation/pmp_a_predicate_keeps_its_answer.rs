//! A scan by a predicate does not see rows that others insert meanwhile.

use crate::case;

case!("p1(=30)={} i2(3=30) c2 p1(%3)={} c1", snapshot: "1=10 2=20 3=30", serializable: "1=10 2=20 3=30");
