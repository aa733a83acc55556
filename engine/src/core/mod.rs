//! What all handles of one file share.

mod append;
mod background;
mod budget;
mod checkpoint;
mod clock;
mod commit;
mod exclusive;
mod gate;
mod journal_mode;
mod leases;
mod load;
mod open;
mod publish;
mod reads;
mod recent;
mod recovery;
mod schema;
mod shared;
mod stats;
mod tables;
mod validate;
mod view;

pub(crate) use checkpoint::COMPACTION_STEP_PAGES;
pub use checkpoint::CheckpointReport;
pub(crate) use clock::timestamp;
pub use commit::Commit;
pub(crate) use commit::{CommitRequest, Installed};
pub(crate) use exclusive::Exclusive;
pub(crate) use leases::LeaseTerms;
pub(crate) use open::{OpenRequest, check_log_dir, lock_log, new_uuid, open};
pub(crate) use recovery::log_dir;
pub(crate) use schema::SchemaChange;
pub(crate) use shared::Core;
pub(crate) use tables::{FIRST_USER_TABLE, NAMES, TABLES, TableInfo};
pub(crate) use view::View;
