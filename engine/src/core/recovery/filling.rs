//! Rows of the log on their way into a generation. A batch is sorted and put there by another thread while the scan reads,
//! checks and decodes the next one:
//!
//! ```text
//! scan     reads A │ reads B                │ reads C, or waits for B
//! filler           │ sorts A and puts it in │ sorts B and puts it in
//! ```
//!
//! Invariant: the right to add to the generation is in one place, here or with the one batch that is under way. So batches go in
//! one after the other, in the order of the log, and who has [settled](Filling::settle) has a generation that nobody adds to.

use std::io;
use std::mem;

use braid_mvstore::{Generation, InstallRights, ReplayBatch, TableId, Timestamp, pin};
use braid_vfs::events::tell;
use braid_vfs::sync::{Arc, Mutex};
use braid_vfs::{Spawn, Task};

use crate::error::{Error, Result};

/// A batch is handed over when its rows take a share of what the generation may grow to, within these bounds: more would be of no
/// use, and less not worth a thread. There are two at a time.
const MAX_BATCH_BYTES: usize = 16 << 20;
const MIN_BATCH_BYTES: usize = 64 << 10;
const BATCHES_OF_GENERATION: usize = 4;

/// See the module.
#[derive(Debug)]
pub(super) struct Filling {
    spawn: Arc<dyn Spawn>,
    generation: Arc<Generation>,
    /// What the generation is made for.
    generation_bytes: usize,
    rights: Rights,
    batch: ReplayBatch,
}

#[derive(Debug)]
enum Rights {
    Here(InstallRights),
    UnderWay(UnderWay),
    /// Its thread ended without giving them back.
    Lost,
}

/// A batch that another thread puts in.
#[derive(Debug)]
struct UnderWay {
    task: Box<dyn Task>,
    /// Where the thread leaves the rights, and the batch, which is empty then.
    place: Arc<Mutex<Option<(InstallRights, ReplayBatch)>>>,
    /// What the generation and the batch took together before.
    bytes: usize,
}

impl Filling {
    /// A generation that starts after `start`, without rows.
    pub(super) fn new(spawn: Arc<dyn Spawn>, start: Timestamp, generation_bytes: usize) -> Self {
        let (generation, rights) = Generation::new(start, generation_bytes);
        let rights = Rights::Here(rights);
        Self { spawn, generation, generation_bytes, rights, batch: ReplayBatch::new() }
    }

    /// Adds a row, newer than all before it.
    pub(super) fn push(&mut self, table: TableId, key: &[u8], value: Option<&[u8]>, commit_ts: Timestamp) {
        self.batch.push(table, key, value, commit_ts);
    }

    /// To be called after each record: hands the rows over if they are many.
    pub(super) fn care(&mut self) -> Result<()> {
        let enough = (self.generation_bytes / BATCHES_OF_GENERATION).clamp(MIN_BATCH_BYTES, MAX_BATCH_BYTES);
        if self.batch.bytes() >= enough { self.hand_over() } else { Ok(()) }
    }

    /// About how much memory all rows take.
    pub(super) fn bytes(&self) -> usize {
        let settled = match &self.rights {
            Rights::UnderWay(under_way) => under_way.bytes,
            Rights::Here(_) | Rights::Lost => self.generation.bytes(),
        };
        settled.saturating_add(self.batch.bytes())
    }

    /// Has all rows in the generation.
    pub(super) fn settle(&mut self) -> Result<&Arc<Generation>> {
        self.take_back()?;
        put(self.rights.here()?, &mut self.batch);
        Ok(&self.generation)
    }

    /// Goes on with a new generation, which starts after `start`: what was settled is somewhere else by now.
    pub(super) fn renew(&mut self, start: Timestamp) {
        let (generation, rights) = Generation::new(start, self.generation_bytes);
        (self.generation, self.rights) = (generation, Rights::Here(rights));
    }

    /// The generation with all rows, and the right to add to it.
    pub(super) fn finish(mut self) -> Result<(Arc<Generation>, InstallRights)> {
        self.settle()?;
        match mem::replace(&mut self.rights, Rights::Lost) {
            Rights::Here(rights) => Ok((Arc::clone(&self.generation), rights)),
            Rights::UnderWay(_) | Rights::Lost => Err(lost()),
        }
    }

    /// Has another thread put the batch in, or does it itself where the system has no thread to give.
    fn hand_over(&mut self) -> Result<()> {
        self.take_back()?;
        let bytes = self.bytes();
        let Rights::Here(rights) = mem::replace(&mut self.rights, Rights::Lost) else { return Err(lost()) };
        let batch = mem::take(&mut self.batch);
        let place = Arc::new(Mutex::new(Some((rights, batch))));
        let work = {
            let place = Arc::clone(&place);
            move || {
                let Some((mut rights, mut batch)) = place.lock().take() else { return };
                put(&mut rights, &mut batch);
                *place.lock() = Some((rights, batch));
            }
        };
        match self.spawn.spawn("braid-replay", Box::new(work)) {
            Ok(task) => self.rights = Rights::UnderWay(UnderWay { task, place, bytes }),
            Err(error) => {
                tell(move || tracing::debug!(%error, "no thread to replay the log with"));
                let Some((rights, batch)) = place.lock().take() else { return Err(lost()) };
                (self.rights, self.batch) = (Rights::Here(rights), batch);
                self.settle()?;
            }
        }
        Ok(())
    }

    /// Waits for the batch that is under way, if there is one.
    fn take_back(&mut self) -> Result<()> {
        self.rights = match mem::replace(&mut self.rights, Rights::Lost) {
            Rights::UnderWay(UnderWay { task, place, .. }) => {
                task.join();
                let (mut rights, mut batch) = place.lock().take().ok_or_else(lost)?;
                // Empty, unless the thread ended before it began.
                put(&mut rights, &mut batch);
                Rights::Here(rights)
            }
            rights => rights,
        };
        Ok(())
    }
}

impl Rights {
    fn here(&mut self) -> Result<&mut InstallRights> {
        match self {
            Self::Here(rights) => Ok(rights),
            Self::UnderWay(_) | Self::Lost => Err(lost()),
        }
    }
}

impl Drop for Filling {
    /// No thread of ours is left behind by a replay that failed.
    fn drop(&mut self) {
        if let Rights::UnderWay(under_way) = mem::replace(&mut self.rights, Rights::Lost) {
            under_way.task.join();
        }
    }
}

fn put(rights: &mut InstallRights, batch: &mut ReplayBatch) {
    rights.replay(batch, &pin());
}

/// It panicked: that was reported then.
fn lost() -> Error {
    Error::io("replaying the log", io::Error::other("the thread that put the rows together has ended"))
}

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use braid_vfs::ThreadSpawn;

    use super::*;
    use crate::core::timestamp;

    const T: TableId = TableId(20);
    const BYTES: usize = BATCHES_OF_GENERATION * MIN_BATCH_BYTES;

    /// Has no thread to give.
    #[derive(Debug)]
    struct NoThreads;

    impl Spawn for NoThreads {
        fn spawn(&self, _: &str, _: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn Task>> {
            Err(io::ErrorKind::WouldBlock.into())
        }
    }

    /// Its threads end at once.
    #[derive(Debug)]
    struct NoWork;

    impl Spawn for NoWork {
        fn spawn(&self, name: &str, work: Box<dyn FnOnce() + Send>) -> io::Result<Box<dyn Task>> {
            ThreadSpawn.spawn(name, Box::new(move || drop(work)))
        }
    }

    fn fill(filling: &mut Filling, commits: std::ops::RangeInclusive<u64>) -> Result<()> {
        for commit in commits {
            filling.push(T, &(commit % 700).to_be_bytes(), Some(&commit.to_le_bytes()), timestamp(commit));
            filling.care()?;
        }
        Ok(())
    }

    fn newest(generation: &Generation, key: u64) -> Option<u64> {
        let guard = pin();
        let found = generation.get(T, &key.to_be_bytes(), Timestamp::MAX, &guard)?;
        found.value().and_then(|value| value.try_into().ok()).map(u64::from_le_bytes)
    }

    #[test]
    fn the_newest_of_each_row_is_there_whoever_puts_it_in() {
        let spawns: [Arc<dyn Spawn>; 3] = [Arc::new(ThreadSpawn), Arc::new(NoThreads), Arc::new(NoWork)];
        for spawn in spawns {
            let mut filling = Filling::new(spawn, Timestamp::ZERO, BYTES);
            fill(&mut filling, 1..=9000).unwrap();
            let first = Arc::clone(filling.settle().unwrap());
            assert_eq!((first.rows(), first.last_ts()), (700, timestamp(9000)));
            assert!((0..700).all(|key| newest(&first, key) > Some(8300)));
            filling.renew(timestamp(9000));
            fill(&mut filling, 9001..=9090).unwrap();
            let (second, mut rights) = filling.finish().unwrap();
            assert_eq!((second.rows(), newest(&second, 690)), (90, Some(9090)));
            assert_eq!(newest(&second, 0), None);
            let mut batch = ReplayBatch::new();
            batch.push(T, b"more", None, timestamp(9091));
            put(&mut rights, &mut batch);
            assert_eq!(second.rows(), 91);
        }
    }

    #[test]
    fn no_row_is_counted_twice_while_it_is_under_way() {
        let mut filling = Filling::new(Arc::new(ThreadSpawn), Timestamp::ZERO, BYTES);
        let mut most = 0;
        for commit in 1..=690 {
            fill(&mut filling, commit..=commit).unwrap();
            most = most.max(filling.bytes());
        }
        let settled = filling.settle().unwrap().bytes();
        assert!(settled * 2 / 3 < most && most < settled * 3 / 2, "{most} on the way, {settled} settled");
    }

    #[test]
    fn a_thread_that_keeps_the_rights_is_an_error() {
        let mut filling = Filling::new(Arc::new(ThreadSpawn), Timestamp::ZERO, BYTES);
        filling.rights = Rights::Lost;
        let error = fill(&mut filling, 1..=9000).unwrap_err();
        assert!(error.to_string().contains("replaying the log"), "{error}");
        assert!(filling.finish().is_err());
    }
}
