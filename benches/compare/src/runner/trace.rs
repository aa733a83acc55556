//! What strace saw of an engine: syncs, and between which two commits.
//!
//! The traced program writes a mark to its standard error when it has begun and after each commit. A call counts when it
//! returns, and a mark when it is written, so a sync that an acknowledgement waited for stands before its mark.

use std::collections::{BTreeMap, HashMap, HashSet};

/// The calls to trace: syncs, and what tells which writes are syncs by themselves.
pub(crate) const CALLS: &str = "trace=fsync,fdatasync,sync,syncfs,msync,sync_file_range,io_uring_enter,open,openat,creat,close,\
                                dup,dup2,dup3,fcntl,write,pwrite64,writev,pwritev,pwritev2";
/// Those which may be made slow to see who waits for them.
pub(crate) const SLOWED: &str = "fsync,fdatasync,sync,syncfs,msync,io_uring_enter";

/// What a mark begins with.
pub(crate) const MARK: &str = "braid-compare mark";

/// Between the first mark and the last.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Counts {
    /// Marks after the first.
    pub(crate) commits: u64,
    /// Commits during which no sync ended.
    pub(crate) without_sync: u64,
    /// Calls that made data durable, by name; a write to a file of `O_DSYNC` is one.
    pub(crate) syncs: BTreeMap<String, u64>,
    /// Calls whose work cannot be seen, or that promise nothing (`io_uring_enter`, `sync_file_range`).
    pub(crate) unclear: BTreeMap<String, u64>,
}

impl Counts {
    pub(crate) fn all_syncs(&self) -> u64 {
        self.syncs.values().sum()
    }

    /// `fdatasync 200, msync 1`.
    pub(crate) fn words(&self) -> String {
        let all = self.syncs.iter().chain(&self.unclear).map(|(name, count)| format!("{name} {count}"));
        all.collect::<Vec<_>>().join(", ")
    }
}

/// Reads the output of `strace -f -o`.
pub(crate) fn count(trace: &str) -> Counts {
    let mut reader = Reader::default();
    for line in trace.lines() {
        reader.line(line);
    }
    reader.counts
}

#[derive(Debug, Default)]
struct Reader {
    /// The beginnings of calls that another thread's line interrupted, by thread.
    unfinished: HashMap<String, String>,
    /// Files whose writes are durable when they return.
    synced_files: HashSet<u64>,
    begun: bool,
    /// Since the last mark; what comes after the very last one is not the commits'.
    syncs: Vec<String>,
    unclear: Vec<String>,
    counts: Counts,
}

impl Reader {
    fn line(&mut self, line: &str) {
        let Some((thread, rest)) = line.split_once(' ') else { return };
        let rest = rest.trim_start();
        if let Some(begin) = rest.strip_suffix("<unfinished ...>") {
            self.unfinished.insert(thread.to_owned(), begin.trim_end().to_owned());
        } else if rest.starts_with("<... ") {
            let begin = self.unfinished.remove(thread);
            if let (Some(begin), Some((_, end))) = (begin, rest.split_once(" resumed>")) {
                self.call(&format!("{begin}{end}"));
            }
        } else {
            self.call(rest);
        }
    }

    /// A call that has returned: `name(arguments) = result`.
    fn call(&mut self, text: &str) {
        let Some((call, result)) = text.rsplit_once(" = ") else { return };
        let Some((name, arguments)) = call.split_once('(') else { return };
        let number = |text: &str| {
            let digits = text.trim_start().split(|letter: char| !letter.is_ascii_digit()).next();
            digits.and_then(|digits| digits.parse::<u64>().ok())
        };
        let (Some(result), file) = (number(result), number(arguments)) else { return };
        let synced = file.is_some_and(|file| self.synced_files.contains(&file));
        match name {
            "open" | "openat" | "creat" => {
                self.opened(result, arguments.contains("O_DSYNC") || arguments.contains("O_SYNC"));
            }
            "dup" | "dup2" | "dup3" => self.opened(result, synced),
            "fcntl" if arguments.contains("F_DUPFD") => self.opened(result, synced),
            "close" => self.opened(file.unwrap_or_default(), false),
            "write" if file == Some(2) && arguments.contains(MARK) => self.mark(),
            "fsync" | "fdatasync" | "sync" | "syncfs" => self.sync(name),
            "msync" if arguments.contains("MS_SYNC") => self.sync(name),
            "pwritev2" if arguments.contains("RWF_DSYNC") || arguments.contains("RWF_SYNC") => {
                self.sync("pwritev2 with RWF_DSYNC");
            }
            "write" | "pwrite64" | "writev" | "pwritev" | "pwritev2" if synced => {
                self.sync("write to O_DSYNC");
            }
            "io_uring_enter" | "sync_file_range" => self.unclear.push(name.to_owned()),
            _ => {}
        }
    }

    fn opened(&mut self, file: u64, synced: bool) {
        if synced {
            self.synced_files.insert(file);
        } else {
            self.synced_files.remove(&file);
        }
    }

    fn sync(&mut self, name: &str) {
        self.syncs.push(name.to_owned());
    }

    fn mark(&mut self) {
        let (syncs, unclear) = (std::mem::take(&mut self.syncs), std::mem::take(&mut self.unclear));
        // The first mark is the beginning.
        if std::mem::replace(&mut self.begun, true) {
            self.counts.commits += 1;
            self.counts.without_sync += u64::from(syncs.is_empty());
            for name in syncs {
                *self.counts.syncs.entry(name).or_default() += 1;
            }
            for name in unclear {
                *self.counts.unclear.entry(name).or_default() += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "10 write(2, \"braid-compare mark 0\\n\", 21) = 21\n";
    const NEXT: &str = "10 write(2, \"braid-compare mark 1\\n\", 21) = 21\n";

    fn between(calls: &str) -> Counts {
        count(&format!("{BEGIN}{calls}{NEXT}"))
    }

    fn syncs(calls: &str) -> String {
        between(calls).words()
    }

    #[test]
    fn only_syncs_between_marks_count() {
        let sync = "10 fdatasync(5)                       = 0\n";
        let counts = count(&format!("{sync}{BEGIN}{sync}{sync}{NEXT}{NEXT}{sync}"));
        assert_eq!((counts.commits, counts.without_sync), (2, 1));
        assert_eq!(counts.words(), "fdatasync 2");
    }

    #[test]
    fn a_sync_that_others_interrupt_counts_when_it_returns() {
        let begin = "11 fdatasync(5 <unfinished ...>\n10 write(7, \"x\", 1) = 1\n";
        let end = "11 <... fdatasync resumed>)             = 0\n";
        let counts = count(&format!("{BEGIN}{begin}{NEXT}{end}{NEXT}"));
        assert_eq!((counts.commits, counts.without_sync, counts.all_syncs()), (2, 1, 1));
        assert_eq!(syncs("10 fsync(5) = 0 (DELAYED)\n"), "fsync 1");
    }

    #[test]
    fn what_fails_is_no_sync() {
        assert_eq!(syncs("10 fsync(5) = -1 EIO (Input/output error)\n"), "");
        assert_eq!(syncs("10 msync(0x7f0000000000, 4096, MS_ASYNC) = 0\n"), "");
        assert_eq!(syncs("10 fsync(5) = ?\n"), "");
    }

    #[test]
    fn writes_to_a_file_that_was_opened_so_are_syncs() {
        let open = "10 openat(AT_FDCWD, \"/x/O_y\", O_RDWR|O_CREAT|O_DSYNC|O_CLOEXEC, 0644) = 7\n";
        let write = "10 pwrite64(7, \"a) = 1\\0\"..., 4096, 0) = 4096\n";
        assert_eq!(syncs(&format!("{open}{write}")), "write to O_DSYNC 1");
        let other = "10 pwrite64(8, \"a\", 1, 0) = 1\n";
        assert_eq!(syncs(&format!("{open}{other}")), "");
        let copy = "10 fcntl(7, F_DUPFD_CLOEXEC, 3) = 8\n10 close(7) = 0\n";
        assert_eq!(syncs(&format!("{open}{copy}{other}{write}")), "write to O_DSYNC 1");
        let reopened = "10 openat(AT_FDCWD, \"/x/z\", O_RDWR|O_CLOEXEC) = 7\n";
        assert_eq!(syncs(&format!("{open}{reopened}{write}")), "");
    }

    #[test]
    fn other_ways_to_sync_are_known() {
        assert_eq!(syncs("10 msync(0x7f0000000000, 4096, MS_SYNC) = 0\n"), "msync 1");
        let write = "10 pwritev2(7, [{iov_base=\"a\", iov_len=1}], 1, 0, RWF_DSYNC) = 1\n";
        assert_eq!(syncs(write), "pwritev2 with RWF_DSYNC 1");
        let ring = between("10 io_uring_enter(9, 1, 1, IORING_ENTER_GETEVENTS, NULL, 8) = 1\n");
        assert_eq!((ring.all_syncs(), ring.words().as_str()), (0, "io_uring_enter 1"));
    }
}
