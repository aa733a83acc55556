//! What a power cut at a moment may have kept.

use braid::vfs::faulty::CrashChoice;

use super::recorder::Moment;

/// Writes up to here are cut at every byte.
const EVERY_BYTE: usize = 64;
/// Writes up to here are cut at every word.
const EVERY_WORD: usize = 512;

/// All choices of a moment but the random ones. Cuts within a change belong to the moment right after it; a later moment
/// cuts there again only if more has been promised meanwhile. The same holds for cuts between changes where the moment is
/// the one `before` it and one more change: what they leave, and what must be left, is the same.
pub(super) fn systematic(before: Option<&Moment>, moment: &Moment) -> Vec<CrashChoice> {
    let mut choices = vec![CrashChoice::KeepAll, CrashChoice::KeepNone];
    let bytes = moment.machine.unsynced_bytes();
    let adds_one = before.is_some_and(|before| {
        let known = before.machine.unsynced_bytes();
        before.marks == moment.marks && known.len() + 1 == bytes.len() && bytes.starts_with(&known)
    });
    for (changes, length) in bytes.iter().enumerate() {
        let is_last = changes + 1 == bytes.len();
        if changes > 0 && (is_last || !adds_one) {
            choices.push(CrashChoice::Prefix { changes, bytes: 0 });
        }
        if moment.told_only || is_last {
            choices.extend(cuts(*length).into_iter().map(|bytes| CrashChoice::Prefix { changes, bytes }));
        }
    }
    choices
}

/// A random choice of a moment.
pub(super) fn random(seed: u64) -> CrashChoice {
    CrashChoice::Subset { seed: seed / 2, unit: if seed.is_multiple_of(2) { 8 } else { 512 } }
}

/// Where a write of so many bytes is cut: never at its ends.
fn cuts(length: usize) -> Vec<usize> {
    let step = if length <= EVERY_BYTE {
        1
    } else if length <= EVERY_WORD {
        8
    } else {
        512
    };
    let mut cuts: Vec<usize> = (step..length).step_by(step).collect();
    if step > 1 {
        cuts.extend([1, 8, 64, length.saturating_sub(8), length.saturating_sub(1)]);
        cuts.retain(|cut| (1..length).contains(cut));
        cuts.sort_unstable();
        cuts.dedup();
    }
    cuts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_writes_are_cut_everywhere_and_long_ones_at_sectors() {
        assert_eq!(cuts(0), Vec::<usize>::new());
        assert_eq!(cuts(4), [1, 2, 3]);
        assert_eq!(cuts(48).len(), 47);
        let long = cuts(4096);
        assert!([1, 8, 512, 3584, 4088, 4095].iter().all(|cut| long.contains(cut)), "{long:?}");
        assert!(!long.contains(&4096));
    }
}
