//! The tree of names of a machine that may lose its power.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use parking_lot::RwLock;

use super::choice::CrashChoice;
use super::file::{CrashFile, Inode, Machine};
use super::names::Names;
use crate::faulty::FaultyFileSystem;
use crate::memory::{Child, FileLocks, LastLink, Located, ROOT, next_device};
use crate::sync::schedule_point;
use crate::{File, FileIdentity, FileSystem, OpenMode, OpenOptions};

/// A file system in memory that knows what is durable. A clone is the same one.
///
/// [`crash`](Self::crash) and [`kill`](Self::kill) end it: everything that was opened in it answers with errors from
/// then on, and the file system that they return goes on from what is left.
#[derive(Clone, Debug)]
pub struct CrashFileSystem {
    pub(super) state: Arc<RwLock<State>>,
    pub(super) machine: Arc<Machine>,
    device: u64,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) names: Names<Arc<Inode>>,
    /// Every file that a name, a change of names or an open file leads to.
    pub(super) files: HashMap<u64, Weak<Inode>>,
    pub(super) next_inode: u64,
    /// What reaches the disk of the changes before a sync that fails.
    pub(super) failed_sync: CrashChoice,
    /// Whether `rename_new` is one change of names, or a second name and then the end of the first.
    pub(super) renames_new_at_once: bool,
}

impl State {
    fn take_inode(&mut self) -> u64 {
        let inode = self.next_inode;
        self.next_inode += 1;
        inode
    }

    fn vacant(&self, path: &Path) -> io::Result<Located<Arc<Inode>>> {
        let place = self.names.live.locate(path, LastLink::Keep)?;
        if place.child.is_some() { Err(io::ErrorKind::AlreadyExists.into()) } else { Ok(place) }
    }

    pub(super) fn files(&self) -> Vec<Arc<Inode>> {
        self.files.values().filter_map(Weak::upgrade).collect()
    }
}

impl CrashFileSystem {
    /// An empty one: a root directory, which is durable, and nothing in it.
    #[must_use]
    pub fn new() -> Self {
        Self::with_state(
            State {
                names: Names::default(),
                files: HashMap::new(),
                next_inode: ROOT + 1,
                failed_sync: CrashChoice::KeepNone,
                renames_new_at_once: true,
            },
            Machine::new(0),
            next_device(),
        )
    }

    pub(super) fn with_state(state: State, machine: Machine, device: u64) -> Self {
        Self { state: Arc::new(RwLock::new(state)), machine: Arc::new(machine), device }
    }

    /// This file system under faults. A sync that a fault makes fail here also loses what it should have covered.
    #[must_use]
    pub fn under_faults(&self) -> FaultyFileSystem {
        let faulty = FaultyFileSystem::new(Arc::new(self.clone()));
        let this = self.clone();
        faulty.faults().on_failed_sync(move |file| this.fail_sync(file));
        faulty
    }

    /// What reaches the disk of the changes before a sync that fails; nothing, until this says otherwise.
    pub fn set_failed_sync(&self, reached: CrashChoice) {
        self.state.write().failed_sync = reached;
    }

    /// Whether [`rename_new`](FileSystem::rename_new) happens at once, as it does until this says otherwise; else it makes
    /// the second name and then takes the first one away, and the power may go between.
    pub fn set_renames_new_at_once(&self, at_once: bool) {
        self.state.write().renames_new_at_once = at_once;
    }

    /// Fails a sync of a file: what it should have covered is never covered by a later one.
    pub fn fail_sync(&self, file: FileIdentity) {
        let Ok(_running) = self.machine.power.running() else { return };
        let (inode, reached) = {
            let state = self.state.read();
            (state.files.get(&file.inode).and_then(Weak::upgrade), state.failed_sync)
        };
        if let Some(inode) = inode.filter(|inode| inode.identity == file) {
            let failed = inode.image.write().fail_sync(reached);
            debug_assert!(failed.is_ok(), "the changes were good when they were made");
        }
    }

    /// Cuts the power once so many more calls have changed something or made it durable; the next such call fails,
    /// and every call after it.
    pub fn cut_power_after(&self, steps: u64) {
        let power = &self.machine.power;
        power.cut_after(power.steps().saturating_add(steps));
    }

    /// How many calls have changed something or made it durable.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.machine.power.steps()
    }

    /// How many changes no sync has covered, over all files and names: the range of [`CrashChoice::Prefix`].
    #[must_use]
    pub fn unsynced_changes(&self) -> usize {
        let state = self.state.read();
        let in_files: usize = state.files().iter().map(|file| file.image.read().unsynced().len()).sum();
        in_files + state.names.unsynced().len()
    }

    /// The bytes of each change that no sync has covered, in order; 0 for one that is kept or lost as a whole. They say
    /// where a [`CrashChoice::Prefix`] can end.
    #[must_use]
    pub fn unsynced_bytes(&self) -> Vec<usize> {
        let state = self.state.read();
        let mut changes: Vec<(u64, usize)> = Vec::new();
        for file in state.files() {
            changes.extend(file.image.read().unsynced().iter().map(|one| (one.order, one.change.bytes())));
        }
        changes.extend(state.names.unsynced().iter().map(|change| (change.order, 0)));
        changes.sort_unstable_by_key(|(order, _)| *order);
        changes.into_iter().map(|(_, bytes)| bytes).collect()
    }

    /// Gives the file at `existing` a second name.
    ///
    /// # Errors
    /// `NotFound`, `AlreadyExists`, and `PermissionDenied` for a directory.
    pub fn hard_link(&self, existing: &Path, link: &Path) -> io::Result<()> {
        self.change_names(|state| {
            let child = match state.names.live.locate(existing, LastLink::Keep)?.child {
                Some(Child::Directory(_)) => return Err(io::ErrorKind::PermissionDenied.into()),
                Some(child) => child,
                None => return Err(io::ErrorKind::NotFound.into()),
            };
            let place = state.vacant(link)?;
            Ok(((), vec![(place.parent, place.name, Some(child))]))
        })
    }

    /// Makes a symbolic link, which may lead nowhere.
    ///
    /// # Errors
    /// `AlreadyExists`, or `NotFound` for the directory that would hold the link.
    pub fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        self.change_names(|state| {
            let place = state.vacant(link)?;
            Ok(((), vec![(place.parent, place.name, Some(Child::Link(target.to_path_buf())))]))
        })
    }

    /// Plans a change of names, and makes it if the power holds.
    fn change_names<T>(
        &self,
        plan: impl FnOnce(&mut State) -> io::Result<(T, Vec<super::names::NameSet<Arc<Inode>>>)>,
    ) -> io::Result<T> {
        schedule_point();
        let running = self.machine.power.running()?;
        let mut state = self.state.write();
        let (answer, sets) = plan(&mut state)?;
        if !sets.is_empty() {
            running.step()?;
            state.names.change(self.machine.next_order(), sets);
        }
        Ok(answer)
    }

    fn identity_of(&self, inode: u64) -> FileIdentity {
        FileIdentity { device: self.device, inode }
    }
}

impl Default for CrashFileSystem {
    fn default() -> Self {
        Self::new()
    }
}

impl FileSystem for CrashFileSystem {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn File>> {
        let writable = options.mode != OpenMode::ReadOnly;
        let inode = self.change_names(|state| {
            let place = match options.mode {
                OpenMode::CreateNew => state.names.live.locate(path, LastLink::Keep)?,
                _ => state.names.live.locate_file(path, options.follow_link)?,
            };
            match (place.child, options.mode) {
                (Some(_), OpenMode::CreateNew) => Err(io::ErrorKind::AlreadyExists.into()),
                (Some(Child::File(inode)), _) => Ok((inode, Vec::new())),
                (Some(_), _) => Err(io::ErrorKind::IsADirectory.into()),
                (None, OpenMode::ReadOnly | OpenMode::ReadWrite) => Err(io::ErrorKind::NotFound.into()),
                (None, OpenMode::ReadWriteCreate | OpenMode::CreateNew) => {
                    let number = state.take_inode();
                    let inode = Arc::new(Inode {
                        identity: self.identity_of(number),
                        mode: options.permissions & 0o7777,
                        image: RwLock::default(),
                        locks: FileLocks::default(),
                    });
                    state.files.retain(|_, file| file.strong_count() > 0);
                    state.files.insert(number, Arc::downgrade(&inode));
                    let set = (place.parent, place.name, Some(Child::File(Arc::clone(&inode))));
                    Ok((inode, vec![set]))
                }
            }
        })?;
        Ok(Arc::new(CrashFile::new(inode, Arc::clone(&self.machine), writable)))
    }

    fn create_dir(&self, path: &Path, _permissions: u32) -> io::Result<()> {
        self.change_names(|state| {
            let place = state.vacant(path)?;
            let inode = state.take_inode();
            Ok(((), vec![(place.parent, place.name, Some(Child::Directory(inode)))]))
        })
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        schedule_point();
        let _running = self.machine.power.running()?;
        let state = self.state.read();
        let directory = state.names.live.directory(path)?;
        Ok(state.names.live.names(directory).into_iter().flat_map(|names| names.keys().cloned()).collect())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change_names(|state| {
            let place = state.names.live.locate(path, LastLink::Keep)?;
            match place.child {
                None => Err(io::ErrorKind::NotFound.into()),
                Some(Child::Directory(_)) => Err(io::ErrorKind::IsADirectory.into()),
                Some(_) => Ok(((), vec![(place.parent, place.name, None)])),
            }
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.change_names(|state| {
            let place = state.names.live.removable_directory(path)?;
            Ok(((), vec![(place.parent, place.name, None)]))
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change_names(|state| {
            let planned = state.names.live.plan_rename(from, to, Arc::ptr_eq)?;
            let sets = planned.map_or_else(Vec::new, |moved| {
                vec![(moved.from.0, moved.from.1, None), (moved.to.0, moved.to.1, Some(moved.child))]
            });
            Ok(((), sets))
        })
    }

    fn rename_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let at_once = self.state.read().renames_new_at_once;
        self.change_names(|state| {
            let moved = state.names.live.plan_rename_new(from, to)?;
            let mut sets = vec![(moved.to.0, moved.to.1, Some(moved.child))];
            if at_once {
                sets.insert(0, (moved.from.0, moved.from.1, None));
            }
            Ok(((), sets))
        })?;
        if at_once { Ok(()) } else { self.remove_file(from) }
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        schedule_point();
        let running = self.machine.power.running()?;
        let mut state = self.state.write();
        let directory = state.names.live.directory(path)?;
        running.step()?;
        state.names.sync(directory);
        Ok(())
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        schedule_point();
        let _running = self.machine.power.running()?;
        let place = match self.state.read().names.live.locate(path, LastLink::Follow) {
            Ok(place) => place,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(match place.child {
            Some(Child::File(inode)) => Some(inode.identity),
            Some(Child::Directory(inode)) => Some(self.identity_of(inode)),
            Some(Child::Link(_)) | None => None,
        })
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        schedule_point();
        let _running = self.machine.power.running()?;
        self.state.read().names.live.locate(path, LastLink::Follow).map(|place| place.path)
    }

    fn check_own_dir(&self, directory: &Path, _file: &Path) -> io::Result<()> {
        schedule_point();
        let _running = self.machine.power.running()?;
        self.state.read().names.live.check_directory(directory)
    }
}
