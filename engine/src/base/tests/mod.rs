//! Scenarios over the whole base.
#![allow(clippy::cast_possible_truncation, reason = "test data is small")]

mod bombs;
mod damage;
mod failing;
mod file;
mod hostile;
mod kit;
mod last_read;
mod model;
mod readers;
mod runs;
mod space;
mod tops;
