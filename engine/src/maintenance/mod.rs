//! Looking after a database: checking, compacting, copying, saving what is left.

mod backup;
mod check;
mod compact;
mod salvage;

pub use backup::BackupReport;
pub use check::CheckReport;
pub use compact::CompactReport;
pub use salvage::{SalvageReport, salvage, salvage_in};

pub(crate) use backup::backup;
pub(crate) use check::check;
