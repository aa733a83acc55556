//! Looking one row up: own writes, generations from the newest, base.

use braid_mvstore::{Found, TableId, Wanted, pin};
use braid_vfs::planted;

use super::inner::{Hold, Inner, Tracking};
use crate::core::View;
use crate::error::{Error, Result};

impl Inner {
    /// What the transaction itself wrote to a row, `None` within standing for deleted. A copy, as the caller's code must not
    /// run under the lock: it may well read on in the same transaction.
    fn own(&self, table: TableId, key: &[u8]) -> Result<Option<Option<Vec<u8>>>> {
        let copy = |found: Found<'_>| found.value().map(<[u8]>::to_vec);
        let writes = self.writes()?;
        let own = writes.get(table, key).map(copy);
        if own.is_some() || !writes.is_updated(table, key) {
            return Ok(own);
        }
        drop(writes);
        self.settle(table, key).map(Some)
    }

    /// Looks a row up: own writes, generations from the newest, base.
    pub(super) fn get<R>(
        &self,
        tracking: Tracking,
        table: TableId,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        if self.writes_version() != 0
            && let Some(own) = self.own(table, key)?
            && !(planted!(OwnTombstoneOverlooked) && own.is_none())
        {
            return Ok(own.as_deref().map(read));
        }
        self.get_committed(tracking, table, key, read)
    }

    /// The same without own writes.
    #[inline]
    pub(super) fn get_committed<R>(
        &self,
        tracking: Tracking,
        table: TableId,
        key: &[u8],
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        let mut wanted = None;
        match tracking {
            Tracking::Nothing => {}
            Tracking::Looks => {
                let wanted = &*wanted.insert(Wanted::new(table, key));
                self.with_looks(|looks| looks.point(wanted))?;
            }
            Tracking::Reads => {
                if !planted!(LookupNotRecorded) {
                    self.note_key(table, key)?;
                }
            }
        }
        match &self.hold {
            Hold::Plain(registration) => self.get_in(registration.view(), (table, key), &mut wanted, read),
            Hold::Leased(_) | Hold::Over => {
                // Copied: nothing is shown before it is known that it was right.
                let value =
                    self.in_view(|view| self.get_in(view, (table, key), &mut wanted, <[u8]>::to_vec))?;
                Ok(value.as_deref().map(read))
            }
        }
    }

    /// Looks a row up in the generations from the newest, and the base.
    #[inline]
    fn get_in<'k, R>(
        &self,
        view: &View,
        (table, key): (TableId, &'k [u8]),
        wanted: &mut Option<Wanted<'k>>,
        read: impl FnOnce(&[u8]) -> R,
    ) -> Result<Option<R>> {
        for generation in view.generations() {
            if !generation.may_hold(self.begin_ts) {
                continue;
            }
            let wanted = wanted.get_or_insert_with(|| Wanted::new(table, key));
            if !generation.may_have(wanted) {
                continue;
            }
            let guard = pin();
            if let Some(found) = generation.look_up(wanted, self.begin_ts, &guard) {
                return Ok(found.value().map(read));
            }
        }
        let core = self.core();
        core.base
            .get(&view.base, table.into(), key, read)
            .map_err(|error| Error::from_base(error, "reading the database file"))
    }
}
