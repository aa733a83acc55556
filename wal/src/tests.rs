//! Whole logs, on files that crash.

mod crash_fs;
mod crashes;
mod damage;
mod failures;
mod helpers;
mod segments;
