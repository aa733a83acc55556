//! What a database has given out beside its rows: ids of sequences, and answers about tokens.

use std::time::Duration;

use braid::{Database, Error, Result, SequenceOptions, Timestamp};

/// The sequences that ids are drawn from.
pub const SEQUENCES: [&str; 2] = ["orders", "parts"];

/// How far a sequence has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// It may be there.
    pub begun: bool,
    /// It must be.
    pub made: bool,
    /// The greatest id that was given out, or left out by raising it.
    pub given: u64,
    /// No id beyond this can be reserved.
    pub reserved: u64,
}

impl Drawn {
    /// Whether an id may come next.
    fn judge(&self, name: &str, id: u64) -> Result<()> {
        if id > self.given && id <= self.reserved + 1 {
            return Ok(());
        }
        Err(wrong(format!("`{name}` gives {id}, after {} and of {} reserved", self.given, self.reserved)))
    }

    /// Whether the sequence may be there, or not.
    fn judge_presence(&self, name: &str, is_there: bool) -> Result<()> {
        match is_there {
            true if !self.begun => Err(wrong(format!("nobody made `{name}`, or it was dropped"))),
            false if self.made => Err(wrong(format!("`{name}` is gone"))),
            _ => Ok(()),
        }
    }
}

fn wrong(what: String) -> Error {
    Error::other(what)
}

/// Looks whether a sequence is there before it is used. One whose drop was cut short may be gone, and begins anew then.
fn begin(db: &Database, name: &str, note: &mut impl FnMut(&mut dyn FnMut(&mut Drawn))) -> Result<()> {
    let is_there = db.sequences()?.iter().any(|known| known == name);
    let mut judged = Ok(());
    note(&mut |drawn| {
        judged = drawn.judge_presence(name, is_there);
        if !is_there {
            *drawn = Drawn::default();
        }
        drawn.begun = true;
    });
    judged
}

/// Draws ids by a handle of its own, which reserves `block` at a time; `note` is told before and after each step.
pub(super) fn draw(
    db: &Database,
    at: usize,
    (block, ids): (u64, u64),
    mut note: impl FnMut(&mut dyn FnMut(&mut Drawn)),
) -> Result<()> {
    let name = SEQUENCES[at % SEQUENCES.len()];
    begin(db, name, &mut note)?;
    let sequence = db.sequence_with(name, SequenceOptions { block, ..SequenceOptions::default() })?;
    note(&mut |drawn| drawn.made = true);
    for number in 0..ids {
        if number.is_multiple_of(block) {
            note(&mut |drawn| drawn.reserved += block);
        }
        let id = sequence.next()?;
        let mut judged = Ok(());
        note(&mut |drawn| {
            judged = drawn.judge(name, id);
            drawn.given = drawn.given.max(id);
        });
        judged?;
    }
    Ok(())
}

/// Raises a sequence by so many ids beyond what it has given out; `note` is told before and after each step.
pub(super) fn raise(
    db: &Database,
    at: usize,
    by: u64,
    mut note: impl FnMut(&mut dyn FnMut(&mut Drawn)),
) -> Result<()> {
    let name = SEQUENCES[at % SEQUENCES.len()];
    begin(db, name, &mut note)?;
    let sequence = db.sequence(name)?;
    let mut left_out = 0;
    note(&mut |drawn| {
        drawn.made = true;
        left_out = drawn.given + by;
        drawn.reserved = drawn.reserved.max(left_out);
    });
    sequence.raise_to(left_out + 1)?;
    note(&mut |drawn| drawn.given = drawn.given.max(left_out));
    Ok(())
}

/// Drops a sequence; whether it was there. `note` is told before and after.
pub(super) fn drop(
    db: &Database,
    at: usize,
    mut note: impl FnMut(&mut dyn FnMut(&mut Drawn)),
) -> Result<bool> {
    let name = SEQUENCES[at % SEQUENCES.len()];
    let mut was_made = false;
    note(&mut |drawn| was_made = std::mem::take(&mut drawn.made));
    match db.drop_sequence(name) {
        Ok(was_there) => {
            note(&mut |drawn| *drawn = Drawn::default());
            if was_made && !was_there { Err(wrong(format!("`{name}` was gone"))) } else { Ok(was_there) }
        }
        Err(error) => {
            // Else it may be gone.
            if !matches!(error, Error::CommitUnknown { .. } | Error::Poisoned { .. }) {
                note(&mut |drawn| drawn.made = was_made);
            }
            Err(error)
        }
    }
}

/// Looks at the sequences: those that were made are there, and what they give was never given.
pub(super) fn examine_sequences(db: &Database, drawn: &[Drawn]) -> Result<()> {
    let there = db.sequences()?;
    for (name, drawn) in SEQUENCES.iter().zip(drawn) {
        let is_there = there.iter().any(|known| known == name);
        drawn.judge_presence(name, is_there)?;
        if is_there {
            let options = SequenceOptions { block: 1, ..SequenceOptions::default() };
            drawn.judge(name, db.sequence_with(name, options)?.next()?)?;
        }
    }
    Ok(())
}

/// A token, and what becomes of it.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) name: String,
    /// The number of the state that its transaction made; `usize::MAX` once that is lost.
    pub(super) state: usize,
    /// Where it lies, as far as that was told.
    pub(super) timestamp: Option<Timestamp>,
    /// When it was written.
    pub(super) written: Duration,
}

impl Token {
    /// Whether it may have been forgotten by `now`; its time is kept in seconds.
    fn is_old(&self, now: Duration, retention: Duration) -> bool {
        Duration::from_secs(self.written.as_secs()) + retention < now
    }
}

/// Looks for tokens: one is known just when its transaction is in the state that was found, or is too old.
pub(super) fn examine_tokens(
    db: &Database,
    tokens: &[Token],
    found: usize,
    (now, retention): (Duration, Duration),
) -> Result<()> {
    for token in tokens {
        let answer = db.was_committed(&token.name)?;
        let right = match answer {
            None => token.state > found || token.is_old(now, retention),
            Some(timestamp) => {
                token.state <= found && token.timestamp.is_none_or(|expected| expected == timestamp)
            }
        };
        if !right {
            return Err(wrong(format!("{token:?} is answered {answer:?} in state {found}, at {now:?}")));
        }
    }
    Ok(())
}
