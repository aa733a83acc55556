//! The shim under `loom`: every schedule of small scenarios.

use std::path::Path;
use std::time::Duration;

use super::atomic::{AtomicUsize, Ordering};
use super::{Arc, Condvar, Mutex, OnceLock, RwLock, thread};
use crate::{Env, OpenMode, OpenOptions};

#[test]
fn a_wait_hears_its_notification() {
    loom::model(|| {
        let shared = Arc::new((Mutex::new(false), Condvar::new(), RwLock::new(0)));
        let other = Arc::clone(&shared);
        let notifier = thread::spawn(move || {
            *other.2.write() = 1;
            *other.0.lock() = true;
            other.1.notify_one();
        });
        let mut done = shared.0.lock();
        while !*done {
            assert!(!shared.1.wait_for(&mut done, Duration::from_millis(1)));
        }
        drop(done);
        assert_eq!(*shared.2.read(), 1);
        notifier.join().unwrap();
    });
}

#[test]
fn a_cell_is_computed_once() {
    loom::model(|| {
        let cell = Arc::new((OnceLock::new(), AtomicUsize::new(0)));
        let other = Arc::clone(&cell);
        let compute = |cell: &(OnceLock<usize>, AtomicUsize)| {
            *cell.0.get_or_init(|| cell.1.fetch_add(1, Ordering::Relaxed))
        };
        let thread = thread::spawn(move || compute(&other));
        assert_eq!(compute(&cell), 0);
        assert_eq!(thread.join().unwrap(), 0);
    });
}

#[test]
fn files_in_memory_work_in_a_model() {
    loom::model(|| {
        let env = Env::in_memory();
        let file = env.files.open(Path::new("/f"), OpenOptions::new(OpenMode::CreateNew)).unwrap();
        let writer = Arc::clone(&file);
        let thread = thread::spawn(move || writer.write_all_at(b"ab", 0).unwrap());
        let mut read = [0; 2];
        let count = file.read_at(&mut read, 0).unwrap();
        assert!((count, read) == (0, *b"\0\0") || (count, read) == (2, *b"ab"), "a write is seen whole");
        thread.join().unwrap();
    });
}
