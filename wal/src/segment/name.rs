//! `{sequence:016x}.seg` is a segment; `.tmp` in place of `.seg` is one that recovery had not finished.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Ends the name of a segment.
pub(crate) const SEGMENT_SUFFIX: &str = ".seg";
/// Ends the name of a segment that is still being written by recovery.
pub(crate) const TEMPORARY_SUFFIX: &str = ".tmp";

/// The path of segment `sequence` in `dir`.
pub(crate) fn path_of(dir: &Path, sequence: u64, suffix: &str) -> PathBuf {
    dir.join(format!("{sequence:016x}{suffix}"))
}

/// The sequence number in a name with `suffix`; `None` for any other name.
pub(crate) fn sequence_of(name: &OsStr, suffix: &str) -> Option<u64> {
    let digits = name.to_str()?.strip_suffix(suffix)?;
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if digits.len() == 16 && digits.bytes().all(lower_hex) {
        u64::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sequences_are_inverse() {
        for sequence in [0, 1, 0xabc, u64::MAX] {
            let path = path_of(Path::new("d"), sequence, SEGMENT_SUFFIX);
            assert_eq!(sequence_of(path.file_name().unwrap(), SEGMENT_SUFFIX), Some(sequence));
            assert_eq!(sequence_of(path.file_name().unwrap(), TEMPORARY_SUFFIX), None);
        }
    }

    #[test]
    fn other_names_are_not_segments() {
        for name in ["1.seg", "000000000000000A.seg", "+00000000000000a.seg", "0000000000000001.seg~", ".seg"]
        {
            assert_eq!(sequence_of(OsStr::new(name), SEGMENT_SUFFIX), None, "{name}");
        }
    }
}
