//! What was rolled back has never been seen.

use crate::case;

case!("w1(1=101) r2(1)=10 a1 r2(1)=10 c2", snapshot: "1=10 2=20", serializable: "1=10 2=20");
