//! Every option is minded wherever options are.

use std::sync::Arc;
use std::time::Duration;

use braid_vfs::Env;

use super::{Durability, Options};
use crate::base::ClockCache;
use crate::{Database, Error, JournalMode};

/// The defaults with one option changed, for each of them by its name. One that is missing here does not compile.
macro_rules! varied {
    ($($option:ident: $value:expr,)*) => {{
        let Options { $($option: _,)* } = Options::default();
        [$((stringify!($option), Options { $option: $value, ..Options::default() }),)*]
    }};
}

fn each_varied() -> [(&'static str, Options); 18] {
    varied! {
        create: false,
        durability: Durability::Deferred,
        busy_timeout: Duration::from_secs(6),
        cache_bytes: 32 << 20,
        row_store_bytes: 32 << 20,
        log_bytes: 128 << 20,
        max_retained_log_bytes: 2 << 30,
        log_segment_bytes: 16 << 20,
        max_transaction_bytes: 1 << 20,
        max_snapshots: 100,
        snapshot_max_age: Some(Duration::from_secs(60)),
        snapshot_max_pinned_bytes: Some(1 << 30),
        deferred_sync_interval: Duration::from_millis(50),
        token_retention: Duration::from_secs(60),
        page_bytes: 8192,
        journal_mode: Some(JournalMode::Mvcc),
        map_log: false,
        page_cache: Some(Arc::new(ClockCache::new(1 << 20))),
    }
}

/// What says whether a new file is made, and with what. One that is there has it already, and no handle asks for it.
const OF_NEW_FILES: [&str; 3] = ["create", "page_bytes", "journal_mode"];

#[test]
fn a_second_handle_with_another_one_is_refused_by_its_name() {
    let usual = Options::default();
    assert_eq!(usual.difference(&usual.clone()), None);
    for (name, other) in each_varied() {
        let env = Env::in_memory();
        let db = Database::open_in(env.clone(), "/db", usual.clone()).unwrap();
        if OF_NEW_FILES.contains(&name) {
            assert_eq!(usual.difference(&other), None, "{name}");
            Database::open_in(env, "/db", other).unwrap();
            continue;
        }
        for (one, two) in [(&usual, &other), (&other, &usual)] {
            assert_eq!(one.difference(two), Some(name));
        }
        assert_eq!(other.difference(&other.clone()), None, "{name}");
        let refused = Database::open_in(env.clone(), "/db", other.clone());
        let is_named =
            |error: &Error| matches!(error, Error::OptionsConflict { option, .. } if *option == name);
        assert!(refused.as_ref().is_err_and(is_named), "{name}: {refused:?}");
        drop(db);
        // By itself it is good, and then what it was before is refused.
        let db = Database::open_in(env.clone(), "/db", other).unwrap();
        let refused = Database::open_in(env, "/db", usual.clone());
        assert!(refused.as_ref().is_err_and(is_named), "{name}: {refused:?}");
        drop(db);
    }
}

#[test]
fn each_one_has_its_range_in_the_documentation() {
    let limits = include_str!("../../../docs/limits.md");
    let (_, options) = limits.split_once("\n## Options\n").unwrap();
    let (table, _) = options.split_once("\n## ").unwrap();
    for (name, _) in each_varied() {
        assert!(table.contains(&format!("`{name}`")), "{name} is missing");
    }
}
