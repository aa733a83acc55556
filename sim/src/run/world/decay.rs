//! What befalls the files at rest: bits that change, and a page that is as it once was.

use std::path::Path;

use braid::vfs::{FileSystem as _, OpenMode, OpenOptions};
use fastrand::Rng;

use super::World;
use crate::run::faults::{befalls, log_uniform};
use crate::run::session::PATH;

/// Bytes of a meta page.
const META_BYTES: usize = 4096;

/// Bytes of the file as they once were.
pub(super) struct OldPage {
    at: u64,
    page: Vec<u8>,
}

impl World {
    /// Damages the files at rest, if that is planned; whether it was the log.
    pub(super) fn rot(&mut self, dice: &mut Rng) -> bool {
        let rots = befalls(dice, &self.plan.features, "bit-rot");
        let mut own = dice.fork();
        if !rots {
            return false;
        }
        let mut files = vec![Path::new(PATH).to_owned()];
        let log = Path::new("/data.braid-wal");
        for name in self.machine.read_dir(log).unwrap_or_default() {
            files.push(log.join(name));
        }
        let path = files[own.usize(0..files.len())].clone();
        let flipped = self.flip(&path, &mut own);
        self.trace.say(format_args!("-- {} rots: {flipped:?}", path.display()));
        if flipped.is_ok() {
            self.damaged = true;
            self.figures.faults += 1;
        }
        path.starts_with(log)
    }

    /// Changes up to 16 bytes in a row.
    fn flip(&self, path: &Path, dice: &mut Rng) -> std::io::Result<u64> {
        let file = self.machine.open(path, OpenOptions::new(OpenMode::ReadWrite))?;
        let len = file.len()?;
        let at = if dice.bool() { log_uniform(dice, len) } else { dice.u64(0..=len) };
        let mut bytes = vec![0; dice.usize(1..=16).min(usize::try_from(len - at).unwrap_or(0))];
        file.read_exact_at(&mut bytes, at)?;
        for byte in &mut bytes {
            *byte ^= dice.u8(1..);
        }
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        Ok(at)
    }

    /// A page of the database file, or a meta page, as it is now.
    pub(super) fn some_page(&self, dice: &mut Rng) -> Option<OldPage> {
        let file = self.machine.open(Path::new(PATH), OpenOptions::new(OpenMode::ReadOnly)).ok()?;
        let bytes = self.plan.options.page_bytes.min(META_BYTES);
        let pages = file.len().ok()? / bytes as u64;
        let at = log_uniform(dice, pages.saturating_sub(1)) * bytes as u64;
        let mut page = vec![0; bytes];
        file.read_exact_at(&mut page, at).ok()?;
        Some(OldPage { at, page })
    }

    /// Puts a page back as it was, if that is planned: a disk that has lost what was written there since.
    pub(super) fn go_stale(&mut self, dice: &mut Rng, old: Option<OldPage>) {
        let stale = befalls(dice, &self.plan.features, "stale-page");
        let (true, Some(OldPage { at, page })) = (stale, old) else { return };
        let Ok(file) = self.machine.open(Path::new(PATH), OpenOptions::new(OpenMode::ReadWrite)) else {
            return;
        };
        let mut now = vec![0; page.len()];
        if file.read_exact_at(&mut now, at).is_ok() && now != page && file.write_all_at(&page, at).is_ok() {
            let synced = file.sync_data();
            self.trace.say(format_args!("-- what was written at {at} is lost: {synced:?}"));
            self.damaged = true;
            self.figures.faults += 1;
        }
    }
}
