//! A rival that rolled back is no reason to refuse.

use crate::case;

case!("r1(1)=10 r2(1)=10 w2(1=12) D1(=20) w2(2=18) a1 c2", snapshot: "1=12 2=18", serializable: "1=12 2=18");
