//! A writer that acts on a row which has changed since its snapshot is refused.

use crate::case;

case!("r1(1)=10 r2(1)=10 r2(2)=20 w2(1=12) w2(2=18) c2 D1(=20) r1(2)=none c1!", snapshot: "1=12 2=18", serializable: "1=12 2=18");
