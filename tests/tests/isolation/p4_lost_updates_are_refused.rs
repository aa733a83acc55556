//! Of two transactions that read a row and write it back one is refused, equal values or not.

use crate::case;

case!("r1(1)=10 r2(1)=10 w1(1=11) w2(1=11) c1 c2!", snapshot: "1=11 2=20", serializable: "1=11 2=20");
