//! The room that an engine's files take.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::cell::{Better, Readings};

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
    let (mut size, mut rest) = (Size::default(), vec![dir.to_owned()]);
    while let Some(dir) = rest.pop() {
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            match entry.metadata() {
                Ok(found) if found.is_dir() => rest.push(entry.path()),
                Ok(found) => {
                    size.allocated += found.blocks() * 512;
                    size.apparent += found.len();
                }
                // The engine has removed it meanwhile.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(size)
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
        std::fs::File::create(below.join("hole")).unwrap().set_len(1 << 30).unwrap();
        let size = size_of(dir).unwrap();
        assert_eq!(size.apparent, (1 << 30) + 10_000);
        assert!(size.allocated < 1 << 20, "{size:?}");
    }
}
