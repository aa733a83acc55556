//! The running log: one appender, one group of waiters, and the segments behind them.

mod appender;
mod demand;
mod folios;
mod fresh;
mod making;
mod scarce;
mod segments;
mod shared;
mod stats;
mod watch;

pub use appender::Appender;
pub(crate) use fresh::{Copier, FreshSegment, Plan};
pub(crate) use segments::LiveSegment;
pub use shared::{Log, Span};
pub(crate) use shared::{Start, failed};
pub use stats::LogStats;
pub use watch::Watcher;
