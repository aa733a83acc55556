//! A method for each option, so that options can be written as a chain: one that is added later breaks no such line.

use std::sync::Arc;
use std::time::Duration;

use super::{Admission, Durability, Isolation, JournalMode, Options, SnapshotOptions, TransactionOptions};
use crate::base::PageCache;
use crate::sequence::SequenceOptions;

/// Sets a field of the same name. A field that may be `None` takes that, or what is in it; a name anything that is text.
macro_rules! setters {
    ($options:ty { $($name:ident: $value:ty,)* } optional { $($maybe:ident: $inner:ty,)* } text { $($text:ident,)* }) => {
        impl $options {
            $(
                #[doc = concat!("Sets [`", stringify!($name), "`](Self#structfield.", stringify!($name), ").")]
                #[must_use]
                pub fn $name(self, $name: $value) -> Self {
                    Self { $name, ..self }
                }
            )*
            $(
                #[doc = concat!("Sets [`", stringify!($maybe), "`](Self#structfield.", stringify!($maybe), ").")]
                #[must_use]
                pub fn $maybe(self, $maybe: impl Into<Option<$inner>>) -> Self {
                    Self { $maybe: $maybe.into(), ..self }
                }
            )*
            $(
                #[doc = concat!("Sets [`", stringify!($text), "`](Self#structfield.", stringify!($text), ").")]
                #[must_use]
                pub fn $text(self, $text: impl Into<Arc<str>>) -> Self {
                    Self { $text: Some($text.into()), ..self }
                }
            )*
        }
    };
}

setters! {
    Options {
        create: bool,
        durability: Durability,
        busy_timeout: Duration,
        cache_bytes: usize,
        row_store_bytes: usize,
        log_bytes: u64,
        max_retained_log_bytes: u64,
        log_segment_bytes: u64,
        max_transaction_bytes: usize,
        max_snapshots: usize,
        deferred_sync_interval: Duration,
        token_retention: Duration,
        page_bytes: usize,
        map_log: bool,
    } optional {
        journal_mode: JournalMode,
        snapshot_max_age: Duration,
        snapshot_max_pinned_bytes: u64,
    } text {}
}

impl Options {
    /// Sets [`page_cache`](Self#structfield.page_cache).
    // Of this very type, so that an `Arc` of any cache becomes one.
    #[must_use]
    pub fn page_cache(self, page_cache: Arc<dyn PageCache>) -> Self {
        Self { page_cache: Some(page_cache), ..self }
    }
}

setters! {
    TransactionOptions {
        admission: Admission,
        isolation: Isolation,
    } optional {
        durability: Durability,
        busy_timeout: Duration,
        max_age: Duration,
    } text {
        name,
    }
}

setters! {
    SnapshotOptions {} optional {
        max_age: Duration,
    } text {
        name,
    }
}

setters! {
    SequenceOptions {
        block: u64,
        start: u64,
    } optional {} text {}
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;
    use crate::base::ClockCache;

    /// Each sets its own field and no other, so all of them together set all.
    #[test]
    fn each_option_has_a_method() {
        let second = Duration::from_secs(1);
        let chain = Options::default()
            .create(false)
            .durability(Durability::Deferred)
            .busy_timeout(second)
            .journal_mode(JournalMode::Mvcc)
            .cache_bytes(1)
            .row_store_bytes(2)
            .log_bytes(3)
            .max_retained_log_bytes(4)
            .log_segment_bytes(5)
            .max_transaction_bytes(6)
            .max_snapshots(7)
            .snapshot_max_age(2 * second)
            .snapshot_max_pinned_bytes(1 << 30)
            .deferred_sync_interval(3 * second)
            .token_retention(4 * second)
            .page_bytes(9)
            .map_log(false)
            .page_cache(Arc::new(ClockCache::new(1 << 20)));
        let written = Options {
            create: false,
            durability: Durability::Deferred,
            busy_timeout: second,
            journal_mode: Some(JournalMode::Mvcc),
            cache_bytes: 1,
            row_store_bytes: 2,
            log_bytes: 3,
            max_retained_log_bytes: 4,
            log_segment_bytes: 5,
            max_transaction_bytes: 6,
            max_snapshots: 7,
            snapshot_max_age: Some(2 * second),
            snapshot_max_pinned_bytes: Some(1 << 30),
            deferred_sync_interval: 3 * second,
            token_retention: 4 * second,
            page_bytes: 9,
            map_log: false,
            page_cache: chain.page_cache.clone(),
        };
        assert_eq!(format!("{chain:?}"), format!("{written:?}"));
        assert!(chain.page_cache.is_some());
        let no_limits = chain.snapshot_max_age(None).snapshot_max_pinned_bytes(None).journal_mode(None);
        assert_eq!((no_limits.snapshot_max_age, no_limits.snapshot_max_pinned_bytes), (None, None));
        assert_eq!(no_limits.snapshot_max_age(Some(second)).snapshot_max_age, Some(second));

        let chain = TransactionOptions::default()
            .admission(Admission::Immediate)
            .isolation(Isolation::Serializable)
            .durability(Durability::Deferred)
            .busy_timeout(second)
            .name("name")
            .max_age(2 * second)
            .token("token");
        let written = TransactionOptions {
            admission: Admission::Immediate,
            isolation: Isolation::Serializable,
            durability: Some(Durability::Deferred),
            busy_timeout: Some(second),
            name: Some("name".into()),
            max_age: Some(2 * second),
            token: Some(b"token"[..].into()),
        };
        assert_eq!(format!("{chain:?}"), format!("{written:?}"));
        let chain = SequenceOptions::default().block(2).start(3);
        assert_eq!(chain, SequenceOptions { block: 2, start: 3 });
        let chain = SnapshotOptions::default().name("name").max_age(second);
        assert_eq!((chain.name.as_deref(), chain.max_age), (Some("name"), Some(second)));
    }
}
