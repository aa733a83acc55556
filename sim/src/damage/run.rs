//! Goes over all damage.

use std::sync::atomic::{AtomicU64, Ordering};

use braid::vfs::faulty::CrashFileSystem;
use braid::{Options, SalvageReport};
use braid_tests::Place as Directory;
use braid_tests::oracle::Contents;
use indicatif::ProgressBar;

use super::copies::{Files, log_dir};
use super::mixed::{self, Mixture};
use super::places::{self, Kind};
use super::sample::{Rest, Sample, options};
use super::verdict::{Allowed, Fault, Verdict, judge};
use crate::jobs::run_all;
use crate::outside::PATH;

/// One of so many copies that are refused is salvaged, on a real disk.
const SALVAGE_OF: u64 = 4096;

/// A run over all samples.
#[derive(Debug)]
pub struct Run {
    /// Bytes of a page.
    pub page_bytes: usize,
    /// One of so many flipped bits is tried, and one of a sixty-fourth as many pieces and lengths; all, where it is 1.
    pub share: u64,
    /// Threads.
    pub jobs: usize,
    /// One group of damage instead of all, by its name; and one number in it.
    pub only: Option<(String, Option<u64>)>,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Bits of logs flipped.
    pub bits: u64,
    /// Bytes of databases in which every bit was flipped.
    pub bytes: u64,
    /// Pieces that were not what was written, and lengths.
    pub pieces: u64,
    /// Sets of files that do not belong together.
    pub files: u64,
    /// Copies that were refused.
    pub refused: u64,
    /// Copies of which the check found the damage.
    pub noticed: u64,
    /// Copies of which nothing that counts was damaged.
    pub harmless: u64,
    /// Copies that lost an end of the log that nothing vouches for.
    pub limit: u64,
    /// Copies of which everything readable was saved.
    pub salvaged: u64,
    /// Copies that lost something and said nothing.
    pub silent: u64,
    /// All that must not be, each with the command that shows it again.
    pub failures: Vec<String>,
}

#[derive(Default)]
struct Counts {
    bits: AtomicU64,
    page_bits: AtomicU64,
    pieces: AtomicU64,
    files: AtomicU64,
    refused: AtomicU64,
    noticed: AtomicU64,
    harmless: AtomicU64,
    limit: AtomicU64,
    salvaged: AtomicU64,
    silent: AtomicU64,
}

fn one_more(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

impl Run {
    /// Tries everything.
    #[must_use]
    pub fn run(&self, bar: &ProgressBar) -> Figures {
        let counts = Counts::default();
        let mut failures = Vec::new();
        for rest in Rest::ALL {
            match Sample::new(rest, self.page_bytes).and_then(|sample| Ok((sample.files.mount()?, sample))) {
                Ok((whole, sample)) => {
                    for kind in Kind::ALL {
                        failures.extend(self.places(&sample, &whole, kind, &counts, bar));
                    }
                }
                Err(error) => failures.push(error),
            }
        }
        match mixed::all(self.page_bytes) {
            Ok(mixtures) => failures.extend(self.mixtures(&mixtures, &counts, bar)),
            Err(error) => failures.push(error),
        }
        let page_bits = counts.page_bits.into_inner();
        Figures {
            bits: counts.bits.into_inner(),
            bytes: page_bits / 8,
            pieces: counts.pieces.into_inner(),
            files: counts.files.into_inner(),
            refused: counts.refused.into_inner(),
            noticed: counts.noticed.into_inner(),
            harmless: counts.harmless.into_inner(),
            limit: counts.limit.into_inner(),
            salvaged: counts.salvaged.into_inner(),
            silent: counts.silent.into_inner(),
            failures,
        }
    }

    /// The numbers of a group that are to be tried, and how many of them one is.
    fn wanted(&self, group: &str, count: u64, share: u64) -> (std::ops::Range<u64>, u64) {
        match &self.only {
            Some((only, _)) if only != group => (0..0, 1),
            Some((_, Some(number))) => (*number..count.min(number + 1), 1),
            _ => (0..count.div_ceil(share), share),
        }
    }

    fn again(&self, group: &str, number: u64) -> String {
        format!("braid-sim damage --page-bytes {} --group {group} --number {number}", self.page_bytes)
    }

    /// One kind of damage within the files of a sample.
    fn places(
        &self,
        sample: &Sample,
        whole: &CrashFileSystem,
        kind: Kind,
        counts: &Counts,
        bar: &ProgressBar,
    ) -> Vec<String> {
        let group = format!("{}-{}", sample.rest.name(), kind.name());
        // There are far more bits than pieces and lengths.
        let share = if kind == Kind::Flip { self.share.max(1) } else { self.share.div_ceil(64).max(1) };
        let (numbers, step) = self.wanted(&group, places::count(sample, kind), share);
        bar.inc_length(numbers.end - numbers.start);
        let options = options(self.page_bytes);
        let failures = run_all(numbers, self.jobs, bar, |turn| {
            // Every turn another bit of the byte, and each place in either way of opening it.
            let number = turn * step + (turn / 8) % step;
            let Some(place) = places::place(sample, kind, number) else { return Ok(()) };
            let copy = place.apply(whole)?;
            let (at, end) = place.range();
            let limit = if kind == Kind::Length { Vec::new() } else { sample.limit(&place.path, at, end) };
            let allowed = Allowed { whole: &[&sample.contents], limit: &limit };
            one_more(match (kind, place.path == std::path::Path::new(PATH)) {
                (Kind::Flip, true) => &counts.page_bits,
                (Kind::Flip, false) => &counts.bits,
                _ => &counts.pieces,
            });
            let salvages = number.is_multiple_of(SALVAGE_OF);
            counts
                .count(judge(&copy, allowed, &options, number % 2 == 1))
                .and_then(|verdict| {
                    if salvages && verdict == Verdict::Refused {
                        salvage(&place.apply(whole)?, &sample.states)?;
                        one_more(&counts.salvaged);
                    }
                    Ok(())
                })
                .map_err(|error| format!("{place}: {error}; again: {}", self.again(&group, number)))
        });
        failures.into_iter().map(|(_, failure)| failure).collect()
    }

    fn mixtures(&self, mixtures: &[Mixture], counts: &Counts, bar: &ProgressBar) -> Vec<String> {
        let (numbers, _) = self.wanted("mixed", mixtures.len() as u64, 1);
        bar.inc_length(numbers.end - numbers.start);
        let options: Options = options(self.page_bytes);
        let failures = run_all(numbers, self.jobs, bar, |number| {
            let Some(mixture) = usize::try_from(number).ok().and_then(|at| mixtures.get(at)) else {
                return Ok(());
            };
            one_more(&counts.files);
            let whole: Vec<&Contents> = mixture.whole.iter().map(|contents| &**contents).collect();
            let limit: Vec<&Contents> = mixture.limit.iter().map(|contents| &**contents).collect();
            let allowed = Allowed { whole: &whole, limit: &limit };
            let again = |error| format!("{}: {error}; again: {}", mixture.name, self.again("mixed", number));
            // First for reading, which changes nothing.
            let copy = mixture.files.mount()?;
            let verdict = counts.count(judge(&copy, allowed, &options, true)).map_err(again)?;
            salvage_mixture(&mixture.files, verdict, &whole).map_err(again)?;
            one_more(&counts.salvaged);
            counts.count(judge(&copy, allowed, &options, false)).map(drop).map_err(again)
        });
        failures.into_iter().map(|(_, failure)| failure).collect()
    }
}

impl Counts {
    fn count(&self, judged: Result<Verdict, Fault>) -> Result<Verdict, String> {
        match judged {
            Ok(verdict) => {
                one_more(match verdict {
                    Verdict::Refused => &self.refused,
                    Verdict::Noticed => &self.noticed,
                    Verdict::Harmless => &self.harmless,
                    Verdict::WithinTheLimit => &self.limit,
                });
                Ok(verdict)
            }
            Err(Fault::Silent(what)) => {
                one_more(&self.silent);
                Err(what)
            }
            Err(Fault::Untyped(what)) => Err(format!("an error that says nothing of damage: {what}")),
        }
    }
}

/// Saves what is readable of a mixture: it may pass for whole exactly where it is.
fn salvage_mixture(files: &Files, verdict: Verdict, whole: &[&Contents]) -> Result<(), String> {
    let Some((report, saved)) = saved(files)? else { return Ok(()) };
    let told = !report.losses.is_empty();
    if verdict == Verdict::Harmless && told {
        return Err(format!("salvage of what opens whole tells of losses: {:?}", report.losses));
    }
    if verdict == Verdict::Refused && !told && !whole.contains(&&saved) {
        return Err("salvage of what is refused tells of no loss".to_owned());
    }
    Ok(())
}

/// Saves what is readable of a copy. Every row must be one that once was, and the result a sound database.
fn salvage(copy: &CrashFileSystem, states: &[Contents]) -> Result<(), String> {
    let Some((report, saved)) = saved(&Files::of(copy)?)? else { return Ok(()) };
    let was = |table: &str, key: &[u8], value: &[u8]| {
        let rows = states.iter().flat_map(|state| &state.tables).filter(|(name, _)| {
            // A table whose name is lost gets another.
            *name == table || table.starts_with("table-")
        });
        rows.filter_map(|(_, rows)| rows.get(key)).any(|once| **once == *value)
    };
    for (table, rows) in &saved.tables {
        if let Some((key, _)) = rows.iter().find(|(key, value)| !was(table, key, value)) {
            return Err(format!("salvage made up the row {} of {table}", String::from_utf8_lossy(key)));
        }
    }
    let newest = states.last();
    let complete = newest.is_none_or(|newest| saved.tables == newest.tables);
    if !complete && report.losses.is_empty() {
        return Err("salvage saved less than there was, and reports no loss".to_owned());
    }
    Ok(())
}

/// What is readable of a copy, in a sound database of its own; nothing where it is said that there is no way into it.
fn saved(files: &Files) -> Result<Option<(SalvageReport, Contents)>, String> {
    let (from, to) = (Directory::in_memory(), Directory::in_memory());
    if files.0.keys().any(|path| path.starts_with(log_dir())) {
        Directory::make_directory(&from.join("data.braid-wal"));
    }
    for (path, bytes) in &files.0 {
        let name = path.strip_prefix("/").map_err(|error| error.to_string())?;
        Directory::write(&from.directory().join(name), bytes);
    }
    let report = match braid::salvage(from.path(), to.path()) {
        Ok(report) => report,
        // Neither meta block is whole, and that is said.
        Err(
            braid::Error::Corrupt(_)
            | braid::Error::NotABraidDatabase { .. }
            | braid::Error::NewerFormat { .. }
            | braid::Error::NotFound(_),
        ) => {
            return Ok(None);
        }
        Err(error) => return Err(format!("salvage says {error:?}")),
    };
    let db = to.open().map_err(|error| format!("what was salvaged does not open: {error}"))?;
    let check = db.check().map_err(|error| error.to_string())?;
    let saved = Contents::of(&db).map_err(|error| error.to_string())?;
    if !check.is_ok() {
        return Err(format!("what was salvaged is not sound: {:?}", check.findings));
    }
    Ok(Some((report, saved)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn few(share: u64) -> Run {
        Run { page_bytes: 512, share, jobs: 2, only: None }
    }

    #[test]
    fn no_damage_loses_anything_in_silence() {
        let figures = Run { only: None, ..few(4099) }.run(&ProgressBar::hidden());
        assert_eq!(figures.failures, Vec::<String>::new());
        assert_eq!(figures.silent, 0);
        assert!(figures.bits > 100 && figures.bytes > 10 && figures.files > 400, "{figures:?}");
        assert!(figures.refused > 400 && figures.harmless > 400 && figures.limit > 0, "{figures:?}");
    }

    #[test]
    fn what_is_lost_in_silence_is_found() {
        // A sample that claims to have held one more row than it did.
        let mut sample = Sample::new(Rest::Closed, 512).unwrap();
        sample.contents.tables.entry("rows".to_owned()).or_default().insert(b"never".to_vec(), [1].into());
        let whole = sample.files.mount().unwrap();
        let run = few(4001);
        let counts = Counts::default();
        let failures = run.places(&sample, &whole, Kind::Flip, &counts, &ProgressBar::hidden());
        assert!(
            !failures.is_empty() && failures.iter().all(|failure| failure.contains("--group closed-flip"))
        );
        assert_eq!(counts.silent.into_inner(), failures.len() as u64);
    }

    #[test]
    fn the_limit_is_no_wider_than_the_last_commit() {
        let sample = Sample::new(Rest::Killed, 512).unwrap();
        let last = sample.tail.last().unwrap();
        let path = sample.tail_path.clone();
        assert!(sample.limit(&path, last.from - 1, last.from).is_empty(), "the byte before it");
        assert_eq!(sample.limit(&path, last.from, last.from + 1), [&last.before]);
        assert_eq!(sample.limit(&path, last.from - 1, last.from + 1).len(), 2);
        assert!(sample.limit(std::path::Path::new(PATH), last.from, last.from + 1).is_empty());
        let settled = Sample::new(Rest::Settled, 512).unwrap();
        let (last, witness) = (settled.tail.last().unwrap().from, settled.witness.unwrap());
        assert!((last..witness + 48).all(|at| settled.limit(&path, at, at + 1).is_empty()), "one byte");
        assert_eq!(settled.limit(&path, last, witness + 1), [&settled.tail.last().unwrap().before]);
        assert!(Sample::new(Rest::Closed, 512).unwrap().tail.is_empty());
    }
}
