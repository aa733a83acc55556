//! What the scenario tests share: a place on the disk, sessions on threads of their own, scripts of interleaved
//! steps, a checker of histories, file layers that watch or fail, and a child process that can be killed.
//!
//! The scenarios themselves are in `tests/`, each in a file named for what must hold. They use the public API only.
//! `BRAID_TEST_SCALE` multiplies the work of the long ones.

mod actor;
pub mod child;
mod disk;
pub mod fuzz;
mod history;
pub mod machine;
pub mod oracle;
mod place;
mod rows;
mod scale;
mod script;
mod threads;

pub use actor::{Actor, Ended, Program};
pub use disk::Disk;
pub use history::{
    Blame, End, History, Ids, Kind, Life, NAMES, Number, Op, Outcome, Record, Row, Rows, Set, TOKENS, Times,
    Told, ToldIds, Verdict, Violation, made_table,
};
pub use place::{Fingerprint, Place, assert_clean, assert_nothing_logged, faulty_env};
pub use rows::{byte, contents, key, number, number_at, value};
pub use scale::{scale, seeds};
pub use script::{Layering, run_script, run_script_in_wal};
pub use threads::{Answer, Session, together};
