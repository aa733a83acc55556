//! The engines, one file each.

mod braid;
#[cfg(test)]
mod conformance;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "turso")]
mod ids;
#[cfg(feature = "sqlrite")]
mod sqlrite;
#[cfg(feature = "surrealkv")]
mod surrealkv;
#[cfg(feature = "turso")]
mod turso;

use crate::engine::Kind;

/// Every engine that was built in, in the order of the tables.
pub(crate) const ALL: &[Kind] = &[
    braid::KIND,
    #[cfg(feature = "fjall")]
    fjall::KIND,
    #[cfg(feature = "surrealkv")]
    surrealkv::KIND,
    #[cfg(feature = "turso")]
    turso::KIND,
    #[cfg(feature = "sqlrite")]
    sqlrite::KIND,
];
