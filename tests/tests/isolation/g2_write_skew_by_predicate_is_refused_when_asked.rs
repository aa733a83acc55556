//! Two transactions that scan in vain and insert what the other looked for: allowed under Snapshot, refused under Serializable.

use crate::case;

case!("p1(%3)={} p2(%3)={} i1(3=30) i2(4=42) c1 c2~", snapshot: "1=10 2=20 3=30 4=42", serializable: "1=10 2=20 3=30");
