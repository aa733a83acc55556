//! A reader that sees one effect of a transaction sees all of them, and goes on seeing them.

use crate::case;

case!("w1(1=11) w1(2=19) w2(1=12) c1 r3(1)=10 w2(2=18) r3(2)=20 c2! r3(2)=20 r3(1)=10 c3", snapshot: "1=11 2=19", serializable: "1=11 2=19");
