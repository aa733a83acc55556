//! Whether a loser has lost to whom it says.

use braid::{ConflictKind, Isolation};

use super::record::{Kind, Op, Outcome, Record, Row};
use super::state::{Versions, Writes};

/// A range comes to one row more than it tells, and an update of that row is made of what is there.
fn may_look(op: &Op, row: &Row) -> bool {
    matches!(op, Op::Append { table, key, .. } | Op::Number { table, key, .. } if (*table, key) == (row.0, &row.1))
}

/// `writes` is what the loser would have written.
pub(super) fn check(record: &Record, writes: &Writes, versions: &Versions) -> Result<(), String> {
    let Outcome::Lost(Some(blame)) = &record.outcome else { return Ok(()) };
    if record.kind == Kind::Exclusive {
        return Err("an exclusive transaction has lost".to_owned());
    }
    let wrote = versions.of(&blame.row).iter().any(|(ts, _)| *ts == blame.winner_ts);
    if !wrote || record.begin_ts.is_some_and(|begin_ts| blame.winner_ts <= begin_ts) {
        return Err(format!("nobody wrote {:?} at {} after it began", blame.row, blame.winner_ts));
    }
    let its_own = match blame.kind {
        ConflictKind::WriteWrite => writes.contains_key(&blame.row),
        ConflictKind::ReadWrite | ConflictKind::Range => {
            record.isolation == Isolation::Serializable
                && record.ops.iter().any(|op: &Op| op.reads(&blame.row) || may_look(op, &blame.row))
        }
        _ => true,
    };
    if its_own { Ok(()) } else { Err(format!("it never touched {:?}, on which it lost", blame.row)) }
}
