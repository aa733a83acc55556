//! Handles and the path registry: how every open of one file in a process comes to share one core.
//!
//! The registry is keyed by the file's identity (device and inode), so that another spelling, a symbolic link or a hard
//! link leads to the same core. Each file has an entry with a lock of its own: an open that replays a long log holds back
//! only opens of the same file.
//!
//! Invariant: an entry is `Live` from before the file lock is taken until after it is released. Who finds the core of a
//! live entry gone waits until its close is done, and then opens afresh: it never meets the lock of a core of its own
//! process.

use std::collections::HashMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use braid_vfs::FileIdentity;
use braid_vfs::events::{later, tell};
use braid_vfs::planted;
use braid_vfs::sync::{Arc, Condvar, Mutex, Weak, lazy_static};

use crate::core::Core;
use crate::error::{Error, Result};

/// What [`Database::close`](crate::Database::close) has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Closed {
    /// The file is closed and its lock given up: whoever wants it may open it.
    Now,
    /// Nothing yet: another handle, a transaction or something else of the database lives, or was made meanwhile. The file
    /// stays open and locked until the last of them goes.
    StillInUse,
}

/// What all handles, transactions and cursors of one open file share; the last one to go closes the core.
pub(crate) struct Handle {
    core: Arc<Core>,
    entry: Option<Arc<Entry>>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("path", &self.core.path).finish_non_exhaustive()
    }
}

impl Handle {
    /// A handle of a core that nobody else can find.
    pub(crate) fn private(core: Arc<Core>) -> Arc<Self> {
        Arc::new(Self { core, entry: None })
    }

    /// Whether nobody else can find it: it is of a database in memory.
    pub(crate) fn is_private(&self) -> bool {
        self.entry.is_none()
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Gives a handle up, and says whether it was the last; that closes the core, or says what went wrong. Whether it is the last is decided
    /// in one step with nobody being able to share it any more: an open that came before keeps the core, one that comes
    /// after waits for the close.
    pub(crate) fn close(self: Arc<Self>) -> Result<Closed> {
        // What is told of the close is told once the file can be opened again.
        later(|| match Arc::into_inner(self) {
            Some(last) => last.core.shut_down().map(|()| Closed::Now),
            None => Ok(Closed::StillInUse),
        })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if self.core.check_process().is_err() {
            // A fork's copy: the file, its lock and the entry are its parent's, or belong to what the fork opened since.
            return;
        }
        later(|| {
            let closed = catch_unwind(AssertUnwindSafe(|| self.core.shut_down()));
            if planted!(PanicKeepsEntry) && closed.is_err() {
                return;
            }
            // However that ended: the lock of the file is given up, and whoever waits for the close would wait for ever.
            if let Some(entry) = self.entry.take() {
                *entry.state.lock() = State::Vacant;
                entry.closed.notify_all();
                forget(entry);
            }
            let error = match closed {
                Ok(Ok(())) => return,
                Ok(Err(error)) => error,
                // One panic at a time: another would end the process.
                Err(_) if std::thread::panicking() => Error::panicked("closing the database"),
                Err(panic) => resume_unwind(panic),
            };
            tell(move || {
                tracing::error!(error = %error.in_full(), "the database was not closed cleanly; the next open replays its log");
            });
        });
    }
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Vacant,
    Live(Weak<Handle>),
}

#[derive(Debug)]
struct Entry {
    file: FileIdentity,
    state: Mutex<State>,
    closed: Condvar,
}

impl Entry {
    fn vacant(file: FileIdentity) -> Self {
        Self { file, state: Mutex::default(), closed: Condvar::default() }
    }
}

lazy_static! {
    static ref ENTRIES: Mutex<HashMap<FileIdentity, Arc<Entry>>> = Mutex::default();
}

/// Drops an entry whose handle is gone, unless somebody has found it meanwhile: that takes the lock held here.
///
/// The entry is given up under that lock too, so that of all who forget it the last one sees that it is the last.
fn forget(entry: Arc<Entry>) {
    const HERE_AND_IN_THE_REGISTRY: usize = 2;
    let mut entries = ENTRIES.lock();
    if Arc::strong_count(&entry) == HERE_AND_IN_THE_REGISTRY {
        entries.remove(&entry.file);
    }
    drop(entry);
}

/// The handle that is open for the file, or the one that `open` makes of a core. What is told of that is told once others can
/// have the handle too.
pub(crate) fn share(
    identity: FileIdentity,
    open: impl FnOnce() -> Result<Arc<Core>>,
    attach: impl FnOnce(&Core) -> Result<()>,
) -> Result<Arc<Handle>> {
    later(|| share_now(identity, open, attach))
}

fn share_now(
    identity: FileIdentity,
    open: impl FnOnce() -> Result<Arc<Core>>,
    attach: impl FnOnce(&Core) -> Result<()>,
) -> Result<Arc<Handle>> {
    let entry = {
        let mut entries = ENTRIES.lock();
        Arc::clone(entries.entry(identity).or_insert_with(|| Arc::new(Entry::vacant(identity))))
    };
    let mut state = entry.state.lock();
    loop {
        match &*state {
            State::Vacant => break,
            State::Live(_) if planted!(SiblingNotFound) => break,
            State::Live(handle) => {
                if let Some(handle) = handle.upgrade() {
                    if handle.core.check_process().is_err() {
                        // What the parent has open is of no use to its fork, which gets the file when the parent is done.
                        break;
                    }
                    drop(state);
                    // Before the handle, which may be the last one by now and forgets the entry then.
                    drop(entry);
                    attach(&handle.core)?;
                    return Ok(handle);
                }
                entry.closed.wait(&mut state);
            }
        }
    }
    let core = match open() {
        Ok(core) => core,
        Err(error) => {
            drop(state);
            forget(entry);
            return Err(error);
        }
    };
    let handle = Arc::new(Handle { core, entry: Some(Arc::clone(&entry)) });
    *state = State::Live(Arc::downgrade(&handle));
    Ok(handle)
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use std::path::PathBuf;

    use braid_vfs::{Env, OpenMode, OpenOptions};

    use super::*;
    use crate::core::{OpenRequest, open};
    use crate::error::Error;
    use crate::options::Options;

    #[test]
    fn whoever_is_the_last_forgets_the_entry() {
        let (env, path) = (Env::in_memory(), PathBuf::from("/db"));
        let file = env.files.open(&path, OpenOptions::new(OpenMode::CreateNew)).unwrap().identity().unwrap();
        let request =
            OpenRequest { env, path, identity: Some(file), options: Options::default(), read_only: false };
        let is_known = || ENTRIES.lock().contains_key(&file);
        assert!(share(file, || Err(Error::ReadOnly), |_| Ok(())).is_err());
        assert!(!is_known(), "nothing was opened");
        let first = share(file, || open(request), |_| Ok(())).unwrap();
        assert!(is_known());
        // The first handle goes while the second is being made of it, and the second is refused.
        let close_and_refuse = |_: &Core| first.close().and(Err(Error::ReadOnly));
        assert!(share(file, || Err(Error::ReadOnly), close_and_refuse).is_err());
        assert!(!is_known(), "the second was the last to hold it");
    }
}
