//! A checker of histories by replay in commit order.
//!
//! A workload records, for each transaction, its snapshot, its place in the history, everything that it read with the
//! answer that it got, everything that it wrote, and when it was asked and answered. The checker rebuilds the versions
//! of every row from the writes alone and asks each read again:
//!
//! 1. No two commits have one timestamp, each lies after its snapshot, and after everything that an earlier life issued.
//! 2. Every read (of losers too) is answered from the state at its snapshot plus the transaction's own writes.
//! 3. The reads of a `Serializable` transaction that committed a write, but for untracked ones, are answered the same at its
//!    place in the commit order, whichever level those around it have; and all reads of an exclusive one are.
//! 4. Of two transactions that committed a write to one row the later began after the earlier committed. An append to a row
//!    that the transaction did not look at is made of what was there right before its commit.
//! 5. A loser lost to a commit that is there, lies after the loser's snapshot and wrote the row it is blamed for, which
//!    the loser wrote too, or read if it is `Serializable`. An exclusive transaction loses to nobody.
//! 6. Who begins after an answer sees what was answered; who began before a commit was asked for does not see it.
//! 7. A life (from an open to the next) ends with a state that the next open finds. That is the state after one of its
//!    commits, and whatever was promised lies before it: everything that anybody was told of if only the process died,
//!    the durable part of that if the power went.
//!
//! 8. Tables that come and go have rows of their own: names that lead to ids. Who wrote to one that was dropped or renamed
//!    meanwhile does not commit.
//! 9. A token is committed once, and is answered as the history has it.
//! 10. A change feed gives the commits in their order, each with what it left, none missing; and no crash takes back what
//!     it gave.
//! 11. No id of a sequence is given twice in any life, none below what it was raised to before the id was asked for, and
//!     those of a handle grow. What is said to be unreserved lies beyond all that were given. A sequence that is dropped
//!     gives out nothing more, its handles are told so and no others, and one that is made after it begins anew. No crash
//!     takes back a drop that was answered; of one in doubt either is right, but only one.
//!
//! What a power cut took back did happen: the reads of that life are checked with it, those of the next without.

mod check;
mod feed;
mod ids;
mod life;
mod looks;
mod lost;
mod real_time;
mod record;
mod state;

pub use self::{
    check::{History, Verdict, Violation},
    feed::{Set, Told},
    ids::{Ids, ToldIds},
    life::{End, Life},
    record::{Blame, Kind, NAMES, Number, Op, Outcome, Record, Row, Rows, TOKENS, Times, made_table},
};

#[cfg(test)]
mod tests;
