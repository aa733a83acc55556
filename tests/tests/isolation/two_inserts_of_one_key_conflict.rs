//! Of two transactions that insert the same new key the second is refused.

use crate::case;

case!("i1(3=30) i2(3=31) c1 c2!", snapshot: "1=10 2=20 3=30", serializable: "1=10 2=20 3=30");
