//! A value that its transaction overwrote before it committed is never seen.

use crate::case;

case!("w1(1=101) r2(1)=10 w1(1=11) c1 r2(1)=10 c2", snapshot: "1=11 2=20", serializable: "1=11 2=20");
