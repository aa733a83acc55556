//! The machine after a power cut or a kill, made of what the old one leaves.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;

use super::choice::{CrashChoice, Fates};
use super::file::{Inode, Machine};
use super::filesystem::{CrashFileSystem, State};
use super::image::{Change, Image};
use super::names::{NameChange, Names};
use crate::FileIdentity;
use crate::memory::{Contents, FileLocks, next_device};

impl CrashFileSystem {
    /// Cuts the power, and yields the machine as it starts again.
    #[must_use]
    pub fn crash(&self, choice: CrashChoice) -> Self {
        let stopped = self.machine.power.stop();
        stopped.cut();
        self.restart(choice)
    }

    /// The machine as it would start again after a cut now, while this one runs on.
    #[must_use]
    pub fn after_crash(&self, choice: CrashChoice) -> Self {
        let _stopped = self.machine.power.stop();
        self.restart(choice)
    }

    fn restart(&self, choice: CrashChoice) -> Self {
        let state = self.state.read();
        let files = state.files();
        let mut contents: HashMap<u64, Contents> = HashMap::with_capacity(files.len());
        let mut names = state.names.durable().clone();
        let mut changes: Vec<(u64, Pending)> = Vec::new();
        for file in &files {
            let image = file.image.read();
            contents.insert(file.identity.inode, image.durable().clone());
            changes.extend(image.unsynced().iter().map(|unsynced| {
                (unsynced.order, Pending::Bytes(file.identity.inode, unsynced.change.clone()))
            }));
        }
        changes.extend(
            state.names.unsynced().iter().map(|change| (change.order, Pending::Name(change.clone()))),
        );
        // One order over everything, so that one seed always says the same.
        changes.sort_by_key(|(order, _)| *order);
        let mut fates = Fates::new(choice);
        for (_, change) in changes {
            match change {
                Pending::Name(change) => change.apply_if_kept(&mut names, &mut fates),
                Pending::Bytes(inode, change) => {
                    if let Some(contents) = contents.get_mut(&inode) {
                        let applied = change.apply(contents, &mut fates);
                        debug_assert!(applied.is_ok(), "the changes were good when they were made");
                    }
                }
            }
        }
        names.retain_reachable();
        let mut copies = Copies::new();
        let names = names.map(&mut |file: &Arc<Inode>| {
            let contents = contents.get(&file.identity.inode).cloned().unwrap_or_default();
            copies.of(file, || Image::restarted(contents))
        });
        copies.into_machine(&state, Names::restarted(names), 0)
    }

    /// Kills every process, and yields the machine as it runs on: all that was written is there to be read, and what
    /// was not synced a later cut may still take.
    #[must_use]
    pub fn kill(&self) -> Self {
        let stopped = self.machine.power.stop();
        stopped.cut();
        self.run_on()
    }

    /// The machine as it would run on after a kill now, while this one runs on too.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let _stopped = self.machine.power.stop();
        self.run_on()
    }

    fn run_on(&self) -> Self {
        let state = self.state.read();
        let mut copies = Copies::new();
        let names = state.names.map(&mut |file| copies.of(file, || file.image.read().clone()));
        copies.into_machine(&state, names, self.machine.order())
    }
}

/// A change that no sync has covered, and where it belongs.
enum Pending {
    Bytes(u64, Change),
    Name(NameChange<Arc<Inode>>),
}

/// Files of the next machine, one for each of this, however many names it has.
struct Copies {
    device: u64,
    made: HashMap<u64, Arc<Inode>>,
}

impl Copies {
    fn new() -> Self {
        Self { device: next_device(), made: HashMap::new() }
    }

    fn into_machine(self, old: &State, names: Names<Arc<Inode>>, order: u64) -> CrashFileSystem {
        let state = State {
            names,
            files: self.made.iter().map(|(inode, file)| (*inode, Arc::downgrade(file))).collect(),
            next_inode: old.next_inode,
            failed_sync: old.failed_sync,
            renames_new_at_once: old.renames_new_at_once,
        };
        CrashFileSystem::with_state(state, Machine::new(order), self.device)
    }

    fn of(&mut self, file: &Inode, image: impl FnOnce() -> Image) -> Arc<Inode> {
        let number = file.identity.inode;
        let copy = self.made.entry(number).or_insert_with(|| {
            Arc::new(Inode {
                identity: FileIdentity { device: self.device, inode: number },
                mode: file.mode,
                image: RwLock::new(image()),
                locks: FileLocks::default(),
            })
        });
        Arc::clone(copy)
    }
}
