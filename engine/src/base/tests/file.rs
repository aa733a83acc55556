//! A file in memory that keeps what is durable apart from what is written, and fails on request.

use std::io;
use std::sync::Arc;

use braid_vfs::sync::Mutex;
use braid_vfs::{File, FileIdentity, LockAttempt, LockKind, LogMapping};

use super::kit::Rng;

/// What an operation that changes the file may be made to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// Nothing is written.
    Error(io::ErrorKind),
    /// Half of it is written before the error.
    Short(io::ErrorKind),
    /// It takes effect, and fails all the same.
    Late(io::ErrorKind),
}

#[derive(Clone, Debug)]
enum Operation {
    Write(u64, Vec<u8>),
    SetLen(u64),
}

#[derive(Debug, Default)]
struct State {
    live: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<Operation>,
    operations: u64,
    fail_at: Option<(u64, Fault, bool)>,
    fail_head: Option<Fault>,
    writes_forbidden: bool,
    /// Decides which reads are bad, and how.
    bad_reads: Option<Rng>,
    reads: u64,
    /// What is written counts as durable at once, so that nothing is kept twice.
    plain: bool,
}

impl State {
    /// Counts an operation; the fault that it meets.
    fn step(&mut self) -> Option<Fault> {
        assert!(!self.writes_forbidden, "something was written to a file that is only to be read");
        self.operations += 1;
        let (at, fault, sticky) = self.fail_at?;
        (self.operations == at || (sticky && self.operations > at)).then_some(fault)
    }
}

#[derive(Debug, Default)]
pub(super) struct TestFile {
    state: Mutex<State>,
}

fn apply(image: &mut Vec<u8>, operation: &Operation) {
    match operation {
        Operation::Write(at, bytes) => {
            let at = usize::try_from(*at).unwrap();
            if image.len() < at + bytes.len() {
                image.resize(at + bytes.len(), 0);
            }
            image[at..at + bytes.len()].copy_from_slice(bytes);
        }
        Operation::SetLen(len) => image.resize(usize::try_from(*len).unwrap(), 0),
    }
}

impl TestFile {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(super) fn of(image: Vec<u8>) -> Arc<Self> {
        let file = Self::new();
        {
            let mut state = file.state.lock();
            state.durable.clone_from(&image);
            state.live = image;
        }
        file
    }

    pub(super) fn image(&self) -> Vec<u8> {
        self.state.lock().live.clone()
    }

    pub(super) fn reads(&self) -> u64 {
        self.state.lock().reads
    }

    /// Lets the operation that comes after `after` others fail, and all that follow if `sticky`.
    pub(super) fn fail(&self, after: u64, fault: Fault, sticky: bool) {
        let mut state = self.state.lock();
        state.fail_at = Some((state.operations + after + 1, fault, sticky));
    }

    /// Lets the next write to a meta block fail.
    pub(super) fn fail_head(&self, fault: Fault) {
        self.state.lock().fail_head = Some(fault);
    }

    /// Lets half of all reads fail, end early, or give wrong bytes, from now on.
    pub(super) fn read_badly(&self, rng: Rng) {
        self.state.lock().bad_reads = Some(rng);
    }

    pub(super) fn heal(&self) {
        let mut state = self.state.lock();
        state.fail_at = None;
        state.bad_reads = None;
    }

    pub(super) fn forbid_writes(&self) {
        self.state.lock().writes_forbidden = true;
    }

    /// What a power cut might leave: of what was not synced each operation is there, is not, or is cut at some byte.
    pub(super) fn crash(&self, rng: &mut Rng) -> Vec<u8> {
        let state = self.state.lock();
        let mut image = state.durable.clone();
        let style = rng.below(4);
        for operation in &state.unsynced {
            let keep = match style {
                0 => 0,
                1 => 1,
                _ => rng.below(3),
            };
            match (keep, operation) {
                (0, _) => {}
                (2, Operation::Write(at, bytes)) => {
                    let cut = rng.below(bytes.len() as u64 + 1) as usize;
                    let cut = if rng.below(2) == 0 { cut } else { cut / 512 * 512 };
                    apply(&mut image, &Operation::Write(*at, bytes[..cut].to_vec()));
                }
                _ => apply(&mut image, operation),
            }
        }
        image
    }
}

impl File for TestFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        state.reads += 1;
        let start = usize::try_from(offset).unwrap().min(state.live.len());
        let n = buf.len().min(state.live.len() - start);
        let bad = state.bad_reads.as_mut().map_or(u64::MAX, |rng| rng.below(10));
        match bad {
            0 => return Err(io::Error::other("a bad read")),
            // The rest of the buffer stays what it was.
            1 => return Ok(0),
            2 | 3 => {
                let half = n.div_ceil(2);
                buf[..half].copy_from_slice(&state.live[start..start + half]);
                return if bad == 2 { Ok(half) } else { Ok(n) };
            }
            _ => buf[..n].copy_from_slice(&state.live[start..start + n]),
        }
        if bad == 4 && n > 0 {
            buf[n / 2] ^= 1;
        }
        Ok(n)
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        let head = if offset < 8192 { state.fail_head.take() } else { None };
        let fault = state.step().or(head);
        let taken = match fault {
            None | Some(Fault::Late(_)) => buf.len(),
            Some(Fault::Error(_)) => 0,
            Some(Fault::Short(_)) => buf.len() / 2,
        };
        let operation = Operation::Write(offset, buf[..taken].to_vec());
        if taken > 0 {
            apply(&mut state.live, &operation);
            state.unsynced.push(operation);
        }
        if state.plain {
            state.unsynced.clear();
        }
        match fault {
            None => Ok(taken),
            Some(Fault::Error(kind) | Fault::Short(kind) | Fault::Late(kind)) => Err(kind.into()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state.lock().live.len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        if let Some(Fault::Error(kind) | Fault::Short(kind) | Fault::Late(kind)) = state.step() {
            return Err(kind.into());
        }
        apply(&mut state.live, &Operation::SetLen(len));
        state.unsynced.push(Operation::SetLen(len));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state.lock();
        if let Some(Fault::Error(kind) | Fault::Short(kind) | Fault::Late(kind)) = state.step() {
            return Err(kind.into());
        }
        state.unsynced.clear();
        if !state.plain {
            state.durable = state.live.clone();
        }
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn identity(&self) -> io::Result<FileIdentity> {
        Ok(FileIdentity { device: 0, inode: 0 })
    }

    fn mode(&self) -> io::Result<u32> {
        Ok(0o600)
    }

    fn try_lock(&self, _: LockKind) -> io::Result<LockAttempt> {
        Ok(LockAttempt::Acquired)
    }

    fn unlock(&self) -> io::Result<()> {
        Ok(())
    }

    fn map_for_append(&self, _: usize) -> io::Result<Option<Box<dyn LogMapping>>> {
        Ok(None)
    }
}
