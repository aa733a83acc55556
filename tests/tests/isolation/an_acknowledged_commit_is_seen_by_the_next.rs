//! Whoever begins after a commit was acknowledged sees it, whichever handle it begins on.

use crate::case;

case!("b1 w1(1=11) c1 b2 r2(1)=11 w2(1=12) c2 b1 r1(1)=12 w1(1=13) c1 s3 r3(1)=13 c3 b2 r2(1)=13 c2", snapshot: "1=13 2=20", serializable: "1=13 2=20");
