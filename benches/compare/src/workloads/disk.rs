//! The room that an engine's files take, and how much of its log is written.

use std::fs::{File, Metadata};
use std::io::{BufReader, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cell::{Better, Readings};
use crate::pattern;

/// What is looked at to tell written from empty, in bytes.
const BLOCK: usize = 4096;

/// Bytes of a directory's files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    /// In blocks that the file system has given them, which is what the disk has less: files with holes count for what is
    /// written, logs that reserve room ahead for what is reserved.
    pub(super) allocated: u64,
    /// As their lengths say.
    pub(super) apparent: u64,
}

impl Size {
    pub(super) fn add_to(self, readings: &mut Readings, rows: u64) {
        let rows = rows.max(1) as f64;
        readings.add("bytes on disk", self.allocated as f64 / rows, "bytes/row", Better::Less);
        readings.add("bytes by file lengths", self.apparent as f64 / rows, "bytes/row", Better::Neither);
    }
}

/// The size of all files at and below `dir`.
pub(super) fn size_of(dir: &Path) -> std::io::Result<Size> {
    let mut size = Size::default();
    each_file(dir, &mut |_, found| {
        size.allocated += found.blocks() * 512;
        size.apparent += found.len();
        Ok(())
    })?;
    Ok(size)
}

/// The bytes of those files at and below `dir` whose paths from there fit one of the patterns, without blocks that are all
/// zeros: room that a log has reserved is none that will be replayed. What a log wrote before it began its file anew is not
/// told apart: it will replay so much at most.
pub(crate) fn written(dir: &Path, patterns: &[&str]) -> std::io::Result<u64> {
    let mut written = 0;
    each_file(dir, &mut |path, _| {
        let below = path.strip_prefix(dir).unwrap_or(path).to_string_lossy();
        if patterns.iter().any(|pattern| pattern::fits(pattern, &below)) {
            written += written_in(File::open(path)?)?;
        }
        Ok(())
    })?;
    Ok(written)
}

fn written_in(file: File) -> std::io::Result<u64> {
    // Not the whole file at once: the memory of the process is measured.
    let (mut file, mut block) = (BufReader::with_capacity(64 * BLOCK, file), Vec::with_capacity(BLOCK));
    let mut written = 0;
    while file.by_ref().take(BLOCK as u64).read_to_end(&mut block)? > 0 {
        if block.iter().any(|&byte| byte != 0) {
            written += block.len() as u64;
        }
        block.clear();
    }
    Ok(written)
}

/// Shows all files at and below `dir`.
fn each_file(
    dir: &Path,
    see: &mut dyn FnMut(&Path, &Metadata) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let mut rest = vec![dir.to_owned()];
    while let Some(dir) = rest.pop() {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let path = entry.path();
            let seen = entry.metadata().and_then(|found| {
                if found.is_dir() {
                    rest.push(path);
                    return Ok(());
                }
                see(&path, &found)
            });
            match seen {
                // The engine has removed it meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                seen => seen?,
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hole_takes_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        let below = dir.join("below");
        std::fs::create_dir(&below).unwrap();
        std::fs::write(dir.join("full"), [1; 10_000]).unwrap();
        File::create(below.join("hole")).unwrap().set_len(1 << 30).unwrap();
        let size = size_of(dir).unwrap();
        assert_eq!(size.apparent, (1 << 30) + 10_000);
        assert!(size.allocated < 1 << 20, "{size:?}");
    }

    #[test]
    fn room_that_is_reserved_is_not_written() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        std::fs::create_dir_all(dir.join("wal/old")).unwrap();
        let log = [&[1; BLOCK][..], &[0; 3 * BLOCK], &[0, 0, 7]].concat();
        std::fs::write(dir.join("wal/1.log"), log).unwrap();
        std::fs::write(dir.join("wal/old/2.log"), [1; 10]).unwrap();
        File::create(dir.join("wal/3.log")).unwrap().set_len(1 << 20).unwrap();
        std::fs::write(dir.join("rows"), [1; 10_000]).unwrap();
        assert_eq!(written(dir, &["wal/*.log"]).unwrap(), BLOCK as u64 + 3 + 10);
        assert_eq!(written(dir, &["wal/1.log", "rows"]).unwrap(), BLOCK as u64 + 3 + 10_000);
        assert_eq!(written(dir, &[]).unwrap(), 0);
    }
}
