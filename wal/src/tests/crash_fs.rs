//! Files with a live and a durable image, that die at a chosen operation.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use braid_vfs::sync::Mutex;
use braid_vfs::{
    File, FileIdentity, FileSystem, LockAttempt, LockKind, LogMapping, OpenMode, OpenOptions, Random,
};

/// What a power cut leaves of what was not synced.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cut {
    Nothing,
    Everything,
    /// Of every 8 bytes, by chance.
    Words,
    /// Of every 512 bytes, by chance.
    Sectors,
}

#[derive(Clone, Debug, Default)]
struct Image {
    live: Vec<u8>,
    durable: Vec<u8>,
}

#[derive(Clone, Debug, Default)]
struct State {
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    images: Vec<Image>,
    operations: u64,
    die_at: Option<u64>,
    fail_sync_at: Option<u64>,
    syncs: u64,
    /// Bytes that may still be written by plain writes, and what running out looks like.
    quota: Option<usize>,
    forbid_writes: bool,
    maps: bool,
}

impl State {
    /// Counts an operation that changes something; fails from the fatal one on.
    fn step(&mut self) -> io::Result<()> {
        assert!(!self.forbid_writes, "a write where none is allowed");
        if self.die_at.is_some_and(|at| self.operations >= at) {
            return Err(io::Error::other("dead"));
        }
        self.operations += 1;
        Ok(())
    }
}

#[derive(Clone, Debug)]
pub(super) struct CrashFs(Arc<Mutex<State>>);

impl CrashFs {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(State { maps: true, ..State::default() })))
    }

    /// A copy that lives its own life: what a process that starts now finds after the old one was killed.
    pub(super) fn killed(&self) -> Self {
        let state = self.0.lock();
        Self(Arc::new(Mutex::new(State {
            operations: 0,
            die_at: None,
            fail_sync_at: None,
            syncs: 0,
            quota: None,
            ..state.clone()
        })))
    }

    /// What a power cut leaves.
    pub(super) fn cut(&self, cut: Cut, random: &dyn Random) -> Self {
        let after = self.killed();
        {
            let mut state = after.0.lock();
            let unit = if matches!(cut, Cut::Words) { 8 } else { 512 };
            let keeps = |cut| match cut {
                Cut::Nothing => false,
                Cut::Everything => true,
                Cut::Words | Cut::Sectors => random.next_u64().is_multiple_of(2),
            };
            for image in &mut state.images {
                let mut survived = image.durable.clone();
                survived.resize(survived.len().max(image.live.len()), 0);
                for start in (0..image.live.len()).step_by(unit) {
                    let range = start..(start + unit).min(image.live.len());
                    if survived[range.clone()] != image.live[range.clone()] && keeps(cut) {
                        survived[range.clone()].copy_from_slice(&image.live[range]);
                    }
                }
                *image = Image { live: survived.clone(), durable: survived };
            }
            let (live, mut names) = (state.names.clone(), state.durable_names.clone());
            for (name, id) in &live {
                if names.get(name) != Some(id) && keeps(cut) {
                    names.insert(name.clone(), *id);
                }
            }
            names.retain(|name, _| live.contains_key(name) || !keeps(cut));
            state.names = names.clone();
            state.durable_names = names;
        }
        after
    }

    pub(super) fn die_at(&self, operation: u64) {
        let mut state = self.0.lock();
        state.die_at = Some(operation);
    }

    pub(super) fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// Fails the sync of a file `after` more, and drops what it was to make durable, as Linux does.
    pub(super) fn fail_sync(&self, after: u64) {
        let mut state = self.0.lock();
        state.fail_sync_at = Some(state.syncs + after);
    }

    pub(super) fn set_quota(&self, bytes: Option<usize>) {
        self.0.lock().quota = bytes;
    }

    pub(super) fn forbid_writes(&self) {
        self.0.lock().forbid_writes = true;
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.0.lock().names.keys().cloned().collect()
    }

    pub(super) fn read(&self, path: &Path) -> Vec<u8> {
        let state = self.0.lock();
        state.images[state.names[path]].live.clone()
    }

    /// Puts a file there, live and durable.
    pub(super) fn put(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.0.lock();
        let id = state.images.len();
        state.images.push(Image { live: bytes.to_vec(), durable: bytes.to_vec() });
        state.names.insert(path.to_path_buf(), id);
        state.durable_names.insert(path.to_path_buf(), id);
    }

    /// Changes a file's bytes in the page cache alone.
    pub(super) fn overwrite(&self, path: &Path, bytes: &[u8]) {
        let mut state = self.0.lock();
        let id = state.names[path];
        state.images[id].live = bytes.to_vec();
    }

    pub(super) fn remove(&self, path: &Path) {
        let mut state = self.0.lock();
        state.names.remove(path);
        state.durable_names.remove(path);
    }
}

#[derive(Debug)]
struct CrashFile {
    fs: CrashFs,
    id: usize,
}

impl File for CrashFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.fs.0.lock();
        let bytes = &state.images[self.id].live;
        let rest = bytes.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.fs.0.lock();
        state.step()?;
        let count = state.quota.map_or(buf.len(), |quota| quota.min(buf.len()));
        if count == 0 && !buf.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.quota = state.quota.map(|quota| quota - count);
        let bytes = &mut state.images[self.id].live;
        let (start, end) = (offset as usize, offset as usize + count);
        bytes.resize(bytes.len().max(end), 0);
        bytes[start..end].copy_from_slice(&buf[..count]);
        Ok(count)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.fs.0.lock().images[self.id].live.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.fs.0.lock();
        state.step()?;
        state.images[self.id].live.resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.fs.0.lock();
        state.step()?;
        state.syncs += 1;
        if state.fail_sync_at.is_some_and(|at| state.syncs > at) {
            return Err(io::Error::other("sync failed"));
        }
        let image = &mut state.images[self.id];
        image.durable.clone_from(&image.live);
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(FileIdentity { device: 0, inode: self.id as u64 })
    }

    fn mode(&self) -> io::Result<u32> {
        Ok(0o600)
    }

    fn try_lock(&self, _: LockKind) -> io::Result<LockAttempt> {
        Ok(LockAttempt::Acquired)
    }

    fn map_for_append(&self, len: usize) -> io::Result<Option<Box<dyn LogMapping>>> {
        let state = self.fs.0.lock();
        assert!(state.images[self.id].live.len() >= len, "mapped past the end");
        Ok(state.maps.then(|| Box::new(CrashMapping { fs: self.fs.clone(), id: self.id, len }) as _))
    }
}

#[derive(Debug)]
struct CrashMapping {
    fs: CrashFs,
    id: usize,
    len: usize,
}

impl LogMapping for CrashMapping {
    fn write(&mut self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= self.len);
        let mut state = self.fs.0.lock();
        // A dead process stores nothing.
        if state.step().is_ok() {
            state.images[self.id].live[offset..offset + bytes.len()].copy_from_slice(bytes);
        }
    }

    fn len(&self) -> usize {
        self.len
    }
}

impl FileSystem for CrashFs {
    fn open(&self, path: &Path, options: OpenOptions) -> io::Result<Arc<dyn File>> {
        let mut state = self.0.lock();
        let id = match (state.names.get(path).copied(), options.mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(id), _) => id,
            (None, OpenMode::ReadOnly | OpenMode::ReadWrite) => return Err(io::ErrorKind::NotFound.into()),
            (None, _) => {
                state.step()?;
                state.images.push(Image::default());
                let id = state.images.len() - 1;
                state.names.insert(path.to_path_buf(), id);
                id
            }
        };
        Ok(Arc::new(CrashFile { fs: self.clone(), id }))
    }

    fn create_dir(&self, _: &Path, _: u32) -> io::Result<()> {
        self.0.lock().step()
    }

    fn read_dir(&self, path: &Path) -> io::Result<Vec<OsString>> {
        let state = self.0.lock();
        let names = state.names.keys().filter(|name| name.parent() == Some(path));
        Ok(names.filter_map(|name| name.file_name()).map(OsString::from).collect())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.step()?;
        state.names.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir(&self, _: &Path) -> io::Result<()> {
        self.0.lock().step()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.step()?;
        let id = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.to_path_buf(), id);
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.0.lock();
        state.step()?;
        state.durable_names.retain(|name, _| name.parent() != Some(path));
        let live: Vec<_> = state.names.iter().filter(|(name, _)| name.parent() == Some(path)).collect();
        let live: Vec<_> = live.into_iter().map(|(name, id)| (name.clone(), *id)).collect();
        state.durable_names.extend(live);
        Ok(())
    }

    fn identity(&self, path: &Path) -> io::Result<Option<FileIdentity>> {
        let id = self.0.lock().names.get(path).copied();
        Ok(id.map(|id| FileIdentity { device: 0, inode: id as u64 }))
    }

    fn resolve(&self, path: &Path) -> io::Result<PathBuf> {
        Ok(path.to_path_buf())
    }
}
