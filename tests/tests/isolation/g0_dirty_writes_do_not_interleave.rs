//! Two transactions that write the same rows never leave a mixture.

use crate::case;

case!("w1(1=11) w2(1=12) w1(2=21) c1 w2(2=22) c2!", snapshot: "1=11 2=21", serializable: "1=11 2=21");
