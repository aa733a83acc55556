//! The engines, one file each.

mod braid;
#[cfg(feature = "canopydb")]
mod canopydb;
#[cfg(test)]
mod conformance;
#[cfg(feature = "fjall")]
mod fjall;
#[cfg(feature = "turso")]
mod ids;
#[cfg(feature = "lmdb")]
mod lmdb;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "rocksdb")]
mod rocksdb;
#[cfg(feature = "sqlite")]
mod sqlite;
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
    #[cfg(feature = "sqlite")]
    sqlite::KIND,
    #[cfg(feature = "lmdb")]
    lmdb::KIND,
    #[cfg(feature = "lmdb")]
    lmdb::WRITE_MAP_KIND,
    #[cfg(feature = "redb")]
    redb::KIND,
    #[cfg(feature = "canopydb")]
    canopydb::KIND,
    #[cfg(feature = "rocksdb")]
    rocksdb::KIND,
    #[cfg(feature = "fjall")]
    fjall::KIND,
    #[cfg(feature = "surrealkv")]
    surrealkv::KIND,
    #[cfg(feature = "turso")]
    turso::KIND,
    #[cfg(feature = "sqlrite")]
    sqlrite::KIND,
];
