//! A one-statement write under an open transaction is not overwritten by it: the transaction is refused.

use crate::case;

case!("b1 r1(1)=10 w1(1=11) o2(1=50) c1!", snapshot: "1=50 2=20", serializable: "1=50 2=20");
