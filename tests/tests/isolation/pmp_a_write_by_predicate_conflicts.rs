//! A delete by a predicate conflicts with an update that changes which rows it would meet.

use crate::case;

case!("W1(*+10) p2(*)={1:10,2:20} D2(=20) c1 p2(*)={1:10} c2!", snapshot: "1=20 2=30", serializable: "1=20 2=30");
