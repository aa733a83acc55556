//! Who holds a lock: a look into `/proc/locks`.
//!
//! A line of it reads `1: FLOCK  ADVISORY  WRITE 4711 08:01:1234567 0 EOF`: number, kind, mode, access, process,
//! `major:minor:inode` (the first two in hexadecimal), range. A line of one who waits has `->` after the number.

use std::os::unix::fs::MetadataExt;

/// The process that holds a `flock` on this file, where it can be told: another namespace's processes cannot, and
/// some file systems number their devices otherwise here.
pub(super) fn holder_of(file: &std::fs::File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    let device = (rustix::fs::major(metadata.dev()), rustix::fs::minor(metadata.dev()));
    holder_in(&locks, device, metadata.ino())
}

fn holder_in(locks: &str, (major, minor): (u32, u32), inode: u64) -> Option<u32> {
    let place = format!("{major:02x}:{minor:02x}:{inode}");
    locks.lines().find_map(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        if fields.next() != Some("FLOCK") {
            return None;
        }
        let process = fields.nth(2)?;
        if fields.next() != Some(place.as_str()) {
            return None;
        }
        process.parse().ok().filter(|process| *process > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::holder_in;

    const LOCKS: &str = "\
1: POSIX  ADVISORY  WRITE 11 fe:00:42 0 EOF
2: FLOCK  ADVISORY  WRITE 12 fe:00:43 0 EOF
3: -> FLOCK  ADVISORY  WRITE 13 fe:00:42 0 EOF
4: FLOCK  ADVISORY  READ 0 08:01:42 0 EOF
5: FLOCK  ADVISORY  WRITE 14 fe:00:42 0 EOF
6: FLOCK  ADV";

    #[test]
    fn the_holder_is_found_by_kind_device_and_inode() {
        assert_eq!(holder_in(LOCKS, (0xfe, 0), 42), Some(14));
        assert_eq!(holder_in(LOCKS, (0xfe, 0), 43), Some(12));
    }

    #[test]
    fn a_holder_that_cannot_be_told_is_none() {
        assert_eq!(holder_in(LOCKS, (0x08, 1), 42), None, "process 0 is one of another namespace");
        assert_eq!(holder_in(LOCKS, (0xfe, 1), 42), None);
        assert_eq!(holder_in("", (0xfe, 0), 42), None);
    }
}
