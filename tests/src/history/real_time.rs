//! What the order of questions and answers demands of the timestamps.

use super::record::{Kind, Outcome, Record};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Moment {
    Invoked,
    Begun,
    Committing,
    Ended,
}

/// Who begins after an answer sees what was answered. Who began before a commit was asked for does not see it.
pub(super) fn check(records: &[Record]) -> Result<(), String> {
    let mut moments: Vec<(u64, Moment, usize)> = Vec::with_capacity(records.len() * 4);
    for (index, record) in records.iter().enumerate() {
        let Some(times) = record.times else { continue };
        moments.extend([
            (times.invoked, Moment::Invoked, index),
            (times.begun, Moment::Begun, index),
            (times.committing, Moment::Committing, index),
            (times.ended, Moment::Ended, index),
        ]);
    }
    moments.sort_unstable();

    // The newest commit that somebody was told of, and the newest snapshot that was taken.
    let (mut answered, mut begun) = (0, 0);
    let mut sees = vec![0; records.len()];
    let mut follows = vec![0; records.len()];
    for (_, moment, index) in moments {
        let record = &records[index];
        match moment {
            Moment::Invoked => sees[index] = answered,
            Moment::Begun => {
                let Some(begin_ts) = record.begin_ts else { continue };
                if begin_ts < sees[index] {
                    return Err(format!(
                        "its snapshot misses {}, which was answered before it began: {record:?}",
                        sees[index]
                    ));
                }
                begun = begin_ts.max(begun);
                if record.kind == Kind::Snapshot {
                    answered = begin_ts.max(answered);
                }
            }
            Moment::Committing => follows[index] = begun,
            Moment::Ended => {
                if let Some(commit_ts) = record.commit_ts() {
                    let after = if record.begin_ts.is_some() {
                        follows[index]
                    } else {
                        follows[index].max(sees[index])
                    };
                    if commit_ts <= after {
                        return Err(format!("it lies before {after}, which was there before it: {record:?}"));
                    }
                }
                if matches!(record.outcome, Outcome::Committed(_)) {
                    answered = record.commit_ts().or(record.begin_ts).unwrap_or(0).max(answered);
                }
            }
        }
    }
    Ok(())
}
