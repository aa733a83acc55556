//! What a database may hold after something went wrong: every state that it was ever asked to be in, how far it has
//! promised to stay, and the judge of what an open finds.
//!
//! A [`Life`] does one [`Action`] after another and keeps the books. It is exact because nobody else writes: what is
//! found must be [`Contents`] that the life had after one of its actions, not older than what was promised and not newer
//! than what was begun.

mod action;
mod contents;
mod future;
mod issued;
mod leases;
mod life;
mod mirror;

pub use action::{Action, FutureEnd, Step, Update, Write, random_action};
pub use contents::{Contents, Rows};
pub use issued::{Drawn, SEQUENCES};
pub use life::{Backup, Life, Marks};
pub use mirror::Mirror;

#[cfg(test)]
mod tests;
