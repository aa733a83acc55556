//! A reader does not see one row before and another after the same commit.

use crate::case;

case!("r1(1)=10 r2(1)=10 r2(2)=20 w2(1=12) w2(2=18) c2 r1(2)=20 c1", snapshot: "1=12 2=18", serializable: "1=12 2=18");
