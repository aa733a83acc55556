//! What must hold, and how a run is held to it.
//!
//! Sessions write down what they did and what they were answered ([`history`]). When a life is over, its history is
//! replayed in the order of the commits' timestamps ([`mod@replay`]), read by read; the outcome is every version of every
//! row. What the next life finds must be the rows at one moment of that history, and a moment that is late enough
//! ([`mod@judge`]).
//!
//! Timestamps make this simple: each commit tells its own, one whose outcome is unknown too, and the first snapshot
//! after a crash tells which was the last commit that stayed.

pub mod feed;
pub mod history;
pub mod judge;
pub mod losses;
pub mod model;
pub mod own;
pub mod past;
pub mod replay;
pub mod step;

#[cfg(test)]
mod tests;

pub use self::{
    feed::feeds,
    history::{
        Act, Dump, Glimpse, History, ModeChange, Moment, Outcome, Promise, Schema, SchemaChange, Stood, Told,
        ToldChange, Transaction, What,
    },
    judge::{Ending, judge, judge_mode, promise},
    losses::{Between, Losses, Run},
    model::{Model, Span, Start, Written},
    replay::replay,
    step::Step,
};

/// A sentence that says what is wrong.
pub type Verdict = Result<(), String>;
