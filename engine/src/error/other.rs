//! Errors of the caller's own, which pass through the engine, and what an error was caused by.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use super::Error;

/// An error of the caller's own on its way through the engine: see [`Error::other`]. It reads like that error, text and
/// source; [`Error::downcast`] and [`Error::downcast_ref`] get at it.
// A box, as only what is sized is taken out of the count; the count, as errors are cloned.
#[derive(Clone)]
pub struct CallerError(Arc<Box<dyn StdError + Send + Sync>>);

impl fmt::Debug for CallerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for CallerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl StdError for CallerError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        (**self.0).source()
    }
}

impl Error {
    /// An error of the caller's own, or a text: so a closure of [`transact`](crate::Database::transact) gives up for a reason
    /// of its own, which [`downcast_ref`](Self::downcast_ref) finds again and [`downcast`](Self::downcast) takes back.
    /// [`try_transact`](crate::Database::try_transact) does both ways for a closure that returns an error type of its own.
    ///
    /// ```
    /// # fn main() -> braid::Result<()> {
    /// use braid::{Database, Error, RetryPolicy};
    ///
    /// #[derive(Debug, thiserror::Error)]
    /// enum Refused {
    ///     #[error("{0} too few in stock")]
    ///     TooFew(i64),
    /// }
    ///
    /// let db = Database::in_memory()?;
    /// let stock = db.table("stock")?;
    /// db.put(&stock, "apple", "2")?;
    /// let sold = db.transact(|tx| {
    ///     let bytes = tx.get(&stock, "apple")?.unwrap_or_default();
    ///     let left: i64 = String::from_utf8_lossy(&bytes).parse().map_err(Error::other)?;
    ///     if left < 3 {
    ///         return Err(Error::other(Refused::TooFew(3 - left)));
    ///     }
    ///     tx.put(&stock, "apple", (left - 3).to_string())?;
    ///     Ok(())
    /// });
    /// let error = sold.unwrap_err();
    /// assert!(matches!(error.downcast_ref(), Some(Refused::TooFew(1))));
    /// assert_eq!(error.to_string(), "1 too few in stock");
    /// # Ok(()) }
    /// ```
    ///
    /// One that was caused by an error of Braid's, as its [`source`](std::error::Error::source), is as retryable as
    /// that: an error type of the caller's with a variant for Braid's errors may pass a conflict through `transact`,
    /// which tries again. A variant that is `#[error(transparent)]` shows the causes of what it holds and not that itself:
    /// a conflict in such a one is not seen.
    ///
    /// Nor is what an `anyhow::Error` was made of, neither by `downcast_ref` nor as a conflict, as its box is of a type of
    /// `anyhow`'s; what that was caused by is seen. Give
    /// `Error::other(error.reallocate_into_boxed_dyn_error_without_backtrace())`, whose box is of the type itself.
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        match error.into().downcast::<Self>() {
            Ok(braids) => *braids,
            Err(error) => match error.downcast::<CallerError>() {
                Ok(callers) => Self::Other(*callers),
                Err(error) => Self::Other(CallerError(Arc::new(error))),
            },
        }
    }

    /// The caller's own error, if it is one of that type.
    #[must_use]
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        match self {
            Self::Other(error) => error.0.downcast_ref(),
            _ => None,
        }
    }

    /// Takes the caller's own error back, if it is one of that type.
    ///
    /// # Errors
    /// This error, as it was, when it is another one, or a clone of it is still about.
    pub fn downcast<E: StdError + Send + Sync + 'static>(self) -> Result<E, Self> {
        match self {
            Self::Other(CallerError(shared)) if shared.is::<E>() => match Arc::try_unwrap(shared) {
                Ok(own) => own.downcast().map(|own| *own).map_err(Self::other),
                Err(shared) => Err(Self::Other(CallerError(shared))),
            },
            other => Err(other),
        }
    }

    /// The text, and those of what it was caused by, in one line: for a log, or a person.
    #[must_use]
    pub fn in_full(&self) -> impl fmt::Display {
        InFull(self)
    }

    /// The error of Braid's that this is, or that an error of the caller's was caused by.
    pub(super) fn braids(&self) -> &Self {
        let Self::Other(error) = self else { return self };
        let mut cause: Option<&(dyn StdError + 'static)> = Some(&**error.0);
        while let Some(error) = cause {
            if let Some(braids) = error.downcast_ref::<Self>() {
                return braids.braids();
            }
            cause = error.source();
        }
        self
    }
}

/// An error and what it was caused by.
struct InFull<'a>(&'a Error);

impl fmt::Display for InFull<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut error: &dyn StdError = self.0;
        write!(f, "{error}")?;
        while let Some(source) = error.source() {
            write!(f, ": {source}")?;
            error = source;
        }
        Ok(())
    }
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use std::io;
    use std::sync::Arc;

    use braid_mvstore::Timestamp;

    use super::*;
    use crate::{Database, RetryPolicy};

    #[derive(Debug, thiserror::Error)]
    enum Mine {
        #[error("the store says no")]
        Store(#[from] Error),
        #[error("short by {0}")]
        Short(i64),
    }

    fn full_disk() -> io::Error {
        io::Error::new(io::ErrorKind::StorageFull, "the disk is full")
    }

    /// Each sentence of a chain once.
    #[test]
    fn nothing_is_said_twice() {
        let refused = io::Error::other("it is on fire");
        let cases = [
            (Error::io("reading", refused), "I/O error: reading: it is on fire"),
            (
                Error::io("writing", full_disk()),
                "no space left; free space and call again: writing: the disk is full",
            ),
            (
                Error::CommitUnknown { commit_ts: Timestamp::ZERO, source: Arc::new(full_disk()) },
                "it is not known whether commit 0 was kept; drop every handle, transaction, snapshot and cursor of this database, open it again and look: the disk is full",
            ),
            (Error::other(Mine::Store(Error::ReadOnly)), &format!("the store says no: {}", Error::ReadOnly)),
            (Error::ReadOnly, &Error::ReadOnly.to_string()),
        ];
        for (error, full) in cases {
            assert_eq!(error.in_full().to_string(), full);
        }
        assert!(Error::io("writing", full_disk()).source().is_some());
    }

    #[test]
    fn an_error_of_the_callers_is_what_it_was_caused_by() {
        let busy = || Error::locked_out(Timestamp::ZERO, false);
        for lost in [Error::other(Mine::from(busy())), Error::other(Error::other(Mine::Store(busy())))] {
            assert!(lost.is_retryable() && lost.conflict().is_some(), "{lost:?}");
        }
        for given_up in
            [Error::other(Mine::Short(1)), Error::other("text"), Error::other(Mine::Store(Error::Closed))]
        {
            assert!(!given_up.is_retryable() && given_up.conflict().is_none(), "{given_up:?}");
        }
    }

    #[test]
    fn the_callers_own_error_is_taken_back() {
        let error = Error::other(Mine::Short(7));
        let kept = error.clone();
        let shared = error.downcast::<Mine>().unwrap_err();
        assert!(matches!(shared.downcast_ref(), Some(Mine::Short(7))), "a clone of it is about: {shared:?}");
        drop(kept);
        let shared = shared.downcast::<io::Error>().unwrap_err();
        assert!(matches!(shared.downcast::<Mine>(), Ok(Mine::Short(7))));
        assert!(matches!(Error::Closed.downcast::<Mine>(), Err(Error::Closed)));
        let Error::Other(callers) = Error::other(Mine::Short(8)) else { panic!("it is the caller's") };
        assert!(matches!(Error::other(callers).downcast::<Mine>(), Ok(Mine::Short(8))), "wrapped once");
        assert!(
            matches!(Error::other("text").downcast::<Mine>(), Err(Error::Other(why)) if why.to_string() == "text")
        );
        assert!(matches!(
            Error::other(Mine::Store(Error::Closed)).downcast(),
            Ok(Mine::Store(Error::Closed))
        ));
    }

    /// What a helper with an error type of its own says comes through: a conflict is tried again, a refusal is not.
    #[test]
    fn the_runner_sees_through_an_error_of_the_callers() {
        let db = Database::in_memory().unwrap();
        db.set_journal_mode(crate::JournalMode::Mvcc).unwrap();
        let table = db.table("t").unwrap();
        let lose = || -> Result<(), Mine> {
            let mut late = db.begin_concurrent()?;
            late.put(&table, "row", "late")?;
            db.put(&table, "row", "first")?;
            late.commit()?;
            Ok(())
        };
        let mut attempts = 0;
        let refused = db.transact_with(RetryPolicy::without_backoff(), |tx| {
            attempts += 1;
            tx.put(&table, "other", "")?;
            if attempts < 3 {
                lose().map_err(Error::other)?;
            }
            Err::<(), _>(Error::other(Mine::Short(attempts)))
        });
        assert!(matches!(refused.unwrap_err().downcast_ref(), Some(Mine::Short(3))));
        assert_eq!(db.get(&table, "other").unwrap(), None);
    }
}
