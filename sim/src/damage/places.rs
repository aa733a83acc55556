//! Damage within one file: which it is, by its number.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use braid::vfs::faulty::CrashFileSystem;
use braid::vfs::{FileSystem, OpenMode, OpenOptions};

use super::sample::Sample;

/// How a file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One bit is flipped.
    Flip,
    /// A piece of 512 or 4096 bytes is not what was written.
    Piece,
    /// The file ends early, or goes on.
    Length,
}

impl Kind {
    pub(super) const ALL: [Self; 3] = [Self::Flip, Self::Piece, Self::Length];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Flip => "flip",
            Self::Piece => "piece",
            Self::Length => "length",
        }
    }
}

/// What stands in the place of a piece.
const PIECES: [&str; 4] = ["zeros", "ones", "its neighbour", "its older self"];
const PIECE_BYTES: [usize; 2] = [512, 4096];
const LENGTH_STEP: usize = 64;

/// Damage within a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) path: PathBuf,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// These bytes stand there instead.
    Bytes { at: usize, bytes: Vec<u8>, how: String },
    /// The file is so long.
    Length(usize),
}

/// How many ways there are to damage a sample so.
pub(super) fn count(sample: &Sample, kind: Kind) -> u64 {
    sample.files.0.values().map(|bytes| count_of(bytes.len(), kind)).sum()
}

fn count_of(length: usize, kind: Kind) -> u64 {
    let count = match kind {
        Kind::Flip => length * 8,
        Kind::Piece => PIECE_BYTES.iter().map(|size| length.div_ceil(*size) * PIECES.len()).sum(),
        // Zero is one of them; and three that are longer.
        Kind::Length => length.div_ceil(LENGTH_STEP) + 3,
    };
    count as u64
}

/// The damage of a number; `None` where it would change nothing.
pub(super) fn place(sample: &Sample, kind: Kind, number: u64) -> Option<Place> {
    let mut left = number;
    for (path, bytes) in &sample.files.0 {
        let here = count_of(bytes.len(), kind);
        if left < here {
            let left = usize::try_from(left).ok()?;
            let what = match kind {
                Kind::Flip => flip(bytes, left)?,
                Kind::Piece => piece(bytes, sample.older.0.get(path).map(|old| &**old), left)?,
                Kind::Length => length(bytes.len(), left),
            };
            return Some(Place { path: path.clone(), what });
        }
        left -= here;
    }
    None
}

fn flip(bytes: &[u8], number: usize) -> Option<What> {
    let (at, bit) = (number / 8, number % 8);
    let byte = bytes.get(at)? ^ (1 << bit);
    Some(What::Bytes { at, bytes: vec![byte], how: format!("bit {bit}") })
}

fn piece(bytes: &[u8], older: Option<&[u8]>, mut number: usize) -> Option<What> {
    for size in PIECE_BYTES {
        let here = bytes.len().div_ceil(size) * PIECES.len();
        if number >= here {
            number -= here;
            continue;
        }
        let (at, how) = (number / PIECES.len() * size, number % PIECES.len());
        let end = bytes.len().min(at + size);
        let good = &bytes[at..end];
        let bad = match how {
            0 => vec![0; good.len()],
            1 => vec![0xff; good.len()],
            2 => {
                let next = if end + good.len() <= bytes.len() { end } else { 0 };
                bytes.get(next..next + good.len())?.to_vec()
            }
            _ => older?.get(at..end)?.to_vec(),
        };
        return (bad != good).then(|| What::Bytes {
            at,
            bytes: bad,
            how: format!("{size} bytes, {}", PIECES[how]),
        });
    }
    None
}

fn length(whole: usize, number: usize) -> What {
    let shorter = number * LENGTH_STEP;
    if shorter < whole {
        return What::Length(shorter);
    }
    let more = number - whole.div_ceil(LENGTH_STEP);
    What::Length(whole + [1, 512, 65_536][more.min(2)])
}

impl Place {
    /// The bytes that it touches.
    pub(super) fn range(&self) -> (usize, usize) {
        match &self.what {
            What::Bytes { at, bytes, .. } => (*at, at + bytes.len()),
            What::Length(length) => (*length, *length),
        }
    }

    /// A copy of the machine with the damage.
    pub(super) fn apply(&self, whole: &CrashFileSystem) -> Result<CrashFileSystem, String> {
        let copy = whole.after_kill();
        change(&copy, &self.path, |file| match &self.what {
            What::Bytes { at, bytes, .. } => file.write_all_at(bytes, *at as u64),
            What::Length(length) => file.set_len(*length as u64),
        })?;
        Ok(copy)
    }
}

fn change(
    copy: &CrashFileSystem,
    path: &Path,
    change: impl FnOnce(&Arc<dyn braid::vfs::File>) -> std::io::Result<()>,
) -> Result<(), String> {
    let file = copy.open(path, OpenOptions::new(OpenMode::ReadWrite));
    file.and_then(|file| change(&file)).map_err(|error| format!("{}: {error}", path.display()))
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.what {
            What::Bytes { at, how, .. } => write!(f, "{} at byte {at}: {how}", self.path.display()),
            What::Length(length) => write!(f, "{} made {length} bytes long", self.path.display()),
        }
    }
}
