//! Histories: what many sessions read and wrote, through crashes and reopens, judged by two checkers.
//!
//! A [`Plan`] says what one seed means, [`play`](fn@play) lets it happen and writes everything down, and
//! [`judge`](fn@judge) asks both checkers. One is the replay in commit order of `braid-tests`, which knows timestamps,
//! predicates, crashes, tables that come and go, tokens and change feeds. The other is the crate `adya`, which knows
//! nothing but what the sessions were told, and looks for cycles among the transactions.

mod adya;
mod elements;
mod follower;
mod futures;
mod judge;
mod life;
mod machine;
mod numbers;
mod objects;
mod plan;
mod play;
mod save;
mod session;
mod tables;
mod work;

pub use self::{
    adya::check as check_by_adya,
    judge::{Figures, judge},
    machine::MakeEnv,
    plan::{Elements, Files, Levels, Modes, Plan},
    play::{Played, play, play_simulated},
    save::save,
};

#[cfg(test)]
mod tests;
