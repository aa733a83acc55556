//! The names of all files, live and durable, and the changes between.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsString;

use super::choice::Fates;
use crate::memory::{Child, Namespace};

/// A tree of names.
#[derive(Clone, Debug)]
pub(super) struct Names<F> {
    pub(super) live: Namespace<F>,
    durable: Namespace<F>,
    unsynced: Vec<NameChange<F>>,
}

/// What happens to names at once: a rename's two halves are never seen apart.
#[derive(Clone, Debug)]
pub(super) struct NameChange<F> {
    /// Its place among all changes of the file system.
    pub(super) order: u64,
    sets: Vec<NameSet<F>>,
}

/// A directory, a name in it, and what that stands for afterwards.
pub(super) type NameSet<F> = (u64, OsString, Option<Child<F>>);

impl<F: Clone> Default for Names<F> {
    fn default() -> Self {
        Self { live: Namespace::default(), durable: Namespace::default(), unsynced: Vec::new() }
    }
}

impl<F: Clone> Names<F> {
    /// Names as they are after a restart: all that there are, are durable.
    pub(super) fn restarted(names: Namespace<F>) -> Self {
        Self { live: names.clone(), durable: names, unsynced: Vec::new() }
    }

    /// Changes the live names.
    pub(super) fn change(&mut self, order: u64, sets: Vec<NameSet<F>>) {
        let change = NameChange { order, sets };
        change.apply(&mut self.live);
        self.unsynced.push(change);
    }

    /// Makes the names in a directory durable, and with them whatever happened at once with one of theirs.
    pub(super) fn sync(&mut self, directory: u64) {
        let mut directories = BTreeSet::from([directory]);
        let mut synced = VecDeque::new();
        let mut rest = VecDeque::new();
        // Backwards, so that what a change drags along drags along what came before it.
        for change in std::mem::take(&mut self.unsynced).into_iter().rev() {
            if change.sets.iter().any(|(directory, ..)| directories.contains(directory)) {
                directories.extend(change.sets.iter().map(|(directory, ..)| *directory));
                synced.push_front(change);
            } else {
                rest.push_front(change);
            }
        }
        for change in synced {
            change.apply(&mut self.durable);
        }
        self.unsynced = rest.into();
    }

    pub(super) fn durable(&self) -> &Namespace<F> {
        &self.durable
    }

    pub(super) fn unsynced(&self) -> &[NameChange<F>] {
        &self.unsynced
    }

    /// The same names over other files.
    pub(super) fn map<G: Clone>(&self, map: &mut impl FnMut(&F) -> G) -> Names<G> {
        Names {
            live: self.live.map(map),
            durable: self.durable.map(map),
            unsynced: self
                .unsynced
                .iter()
                .map(|change| NameChange {
                    order: change.order,
                    sets: change
                        .sets
                        .iter()
                        .map(|(directory, name, child)| {
                            (*directory, name.clone(), child.as_ref().map(|child| child.map(map)))
                        })
                        .collect(),
                })
                .collect(),
        }
    }
}

impl<F: Clone> NameChange<F> {
    /// Does to `names` what fate leaves of the change: all or nothing.
    pub(super) fn apply_if_kept(&self, names: &mut Namespace<F>, fates: &mut Fates) {
        if fates.keeps_whole() {
            self.apply(names);
        }
    }

    fn apply(&self, names: &mut Namespace<F>) {
        for (directory, name, child) in &self.sets {
            match child {
                None => {
                    names.names_mut(*directory).remove(name);
                }
                Some(child) => {
                    if let Child::Directory(inode) = child {
                        names.names_mut(*inode);
                    }
                    names.names_mut(*directory).insert(name.clone(), child.clone());
                }
            }
        }
    }
}
