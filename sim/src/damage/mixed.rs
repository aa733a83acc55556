//! Files that do not belong together.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use braid::Durability;
use braid::vfs::faulty::CrashFileSystem;
use braid_tests::oracle::{Action, Contents, Write};

use super::copies::{Files, log_dir, segment};
use super::sample::{Living, history};
use crate::outside::PATH;

/// A set of files, and what may come of it but a typed error.
#[derive(Debug)]
pub(super) struct Mixture {
    pub(super) name: String,
    pub(super) files: Files,
    /// Nothing: it must be refused.
    pub(super) whole: Vec<Arc<Contents>>,
    /// What nothing in the files can tell from the whole.
    pub(super) limit: Vec<Arc<Contents>>,
}

impl Mixture {
    fn of(name: String, files: Files, whole: &[&Arc<Contents>]) -> Self {
        Self { name, files, whole: whole.iter().copied().cloned().collect(), limit: Vec::new() }
    }
}

/// A database at one moment of its life.
#[derive(Debug)]
struct Age {
    files: Files,
    contents: Arc<Contents>,
}

impl Age {
    fn of(living: &Living) -> Result<Self, String> {
        Ok(Self { files: Files::of(&living.machine)?, contents: Arc::new(living.life.newest().clone()) })
    }
}

/// All mixtures.
pub(super) fn all(page_bytes: usize) -> Result<Vec<Mixture>, String> {
    let mut all = Vec::new();
    ages(page_bytes, &mut all)?;
    segments(page_bytes, &mut all)?;
    strangers(page_bytes, &mut all)?;
    Ok(all)
}

/// Copies of one database, taken after each of its actions, over a close, an open and a kill.
fn lifetime(page_bytes: usize) -> Result<Vec<Age>, String> {
    let mut living = Living::new(page_bytes, 1)?;
    let mut ages = vec![Age::of(&living)?];
    for action in history(0) {
        living.act(&[action])?;
        ages.push(Age::of(&living)?);
    }
    for turn in 0..4_u8 {
        let Living { machine, db, life } = living;
        let machine = if turn % 2 == 0 {
            db.close().map_err(|error| error.to_string())?;
            machine.kill()
        } else {
            machine.kill()
        };
        living = Living { life, ..Living::on(machine, page_bytes, u64::from(turn) + 10)? };
        ages.push(Age::of(&living)?);
        living.act(&[row(turn, 50, Durability::Sync)])?;
        ages.push(Age::of(&living)?);
        if turn >= 2 {
            living.act(&[Action::Checkpoint])?;
            ages.push(Age::of(&living)?);
        }
    }
    Ok(ages)
}

fn row(number: u8, bytes: usize, durability: Durability) -> Action {
    let key = format!("late {number}").into_bytes();
    let value = Some(vec![number; bytes].into());
    Action::Commit { writes: vec![Write { table: "rows".to_owned(), key, value }], durability }
}

/// The database file of one age with the log of another. The log says what the newest commit is, so that is what must be
/// there, or an error.
fn ages(page_bytes: usize, all: &mut Vec<Mixture>) -> Result<(), String> {
    let ages = lifetime(page_bytes)?;
    for (i, main) in ages.iter().enumerate() {
        for (j, log) in ages.iter().enumerate() {
            let files = main.files.main().with(log.files.log());
            all.push(Mixture::of(format!("database of age {i}, log of age {j}"), files, &[&log.contents]));
        }
        let alone = main.files.main();
        all.push(Mixture::of(format!("database of age {i} without its log"), alone.clone(), &[]));
        let log = main.files.log();
        all.push(Mixture::of(format!("log of age {i} without its database"), log.clone(), &[]));
        let empty = log.and(PATH.into(), Arc::from([]));
        all.push(Mixture::of(format!("log of age {i} with an empty database"), empty, &[]));
        let junk = main
            .files
            .clone()
            .and(log_dir().join("notes.txt"), Arc::from(*b"not a segment"))
            .and(log_dir().join(format!("{:016x}.tmp", 77)), Arc::from([9; 5000]));
        all.push(Mixture::of(format!("age {i} with strange files in its log"), junk, &[&main.contents]));
        swapped_heads(i, main, all);
    }
    Ok(())
}

/// The two meta blocks in each other's place, and one of them twice.
fn swapped_heads(number: usize, age: &Age, all: &mut Vec<Mixture>) {
    let Some(bytes) = age.files.0.get(Path::new(PATH)).filter(|bytes| bytes.len() >= 8192) else { return };
    let blocks = [&bytes[..4096], &bytes[4096..8192]];
    for (name, order) in [("swapped", [1, 0]), ("the first twice", [0, 0]), ("the second twice", [1, 1])] {
        let bytes: Vec<u8> =
            order.into_iter().flat_map(|block| blocks[block]).chain(&bytes[8192..]).copied().collect();
        let files = age.files.clone().and(PATH.into(), bytes.into());
        all.push(Mixture::of(format!("age {number}, meta blocks {name}"), files, &[&age.contents]));
    }
}

/// A log of many segments, each of which is lost, emptied, doubled, renamed, exchanged, or of another age.
fn segments(page_bytes: usize, all: &mut Vec<Mixture>) -> Result<(), String> {
    let make = |seed| -> Result<(Vec<Age>, Living), String> {
        let mut living = Living::new(page_bytes, seed)?;
        living.act(&[Action::CreateTable("rows".to_owned())])?;
        let mut ages = vec![Age::of(&living)?];
        for number in 0..14 {
            living.act(&[row(number, 20_000, Durability::Sync)])?;
            ages.push(Age::of(&living)?);
        }
        Ok((ages, living))
    };
    let ((ages, _living), (others, _other)) = (make(3)?, make(4)?);
    let (Some(newest), Some(other)) = (ages.last(), others.last()) else { return Ok(()) };
    let log = newest.files.log();
    let last_used =
        log.0.iter().rev().find(|(_, bytes)| bytes.iter().any(|byte| *byte != 0)).map(|(path, _)| path);
    for (path, bytes) in &log.0 {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let whole =
            |what: &str, files: Files| Mixture::of(format!("{name} {what}"), files, &[&newest.contents]);
        all.push(whole("missing", newest.files.clone().without(path)));
        let mut emptied = vec![
            whole("empty", newest.files.clone().and(path.clone(), Arc::from([]))),
            whole("all zeros", newest.files.clone().and(path.clone(), vec![0; bytes.len()].into())),
        ];
        if Some(path) == last_used {
            // All that told of the commits in it is gone with them.
            for mixture in &mut emptied {
                mixture.limit = ages.iter().map(|age| Arc::clone(&age.contents)).collect();
            }
        }
        all.append(&mut emptied);
        for sequence in [1, 2, 100] {
            let copied = newest.files.clone().and(segment(sequence), Arc::clone(bytes));
            all.push(whole(&format!("again as {sequence}"), copied.clone()));
            if segment(sequence) != *path {
                all.push(whole(&format!("renamed to {sequence}"), copied.without(path)));
            }
        }
        for (second, second_bytes) in &log.0 {
            let swapped = newest
                .files
                .clone()
                .and(path.clone(), Arc::clone(second_bytes))
                .and(second.clone(), Arc::clone(bytes));
            all.push(whole(&format!("swapped with {}", second.display()), swapped));
        }
        for (number, age) in ages.iter().enumerate() {
            if let Some(old) = age.files.0.get(path) {
                let files = newest.files.clone().and(path.clone(), Arc::clone(old));
                let mut mixture = whole(&format!("of age {number}"), files);
                if Some(path) == last_used {
                    // Everything else being the same, this is the whole log of that age.
                    mixture.whole.push(Arc::clone(&age.contents));
                }
                all.push(mixture);
            }
        }
        if let Some(foreign) = other.files.0.get(path) {
            let files = newest.files.clone().and(path.clone(), Arc::clone(foreign));
            all.push(whole("of another database", files));
        }
    }
    Ok(())
}

/// Two databases and a backup, with each other's logs.
fn strangers(page_bytes: usize, all: &mut Vec<Mixture>) -> Result<(), String> {
    let (one, other) = (Living::usual(page_bytes, 0)?, Living::usual(page_bytes, 1)?);
    let copy = PathBuf::from("/copy.braid");
    one.db.backup(&copy).map_err(|error| error.to_string())?;
    let (mine, theirs) = (Age::of(&one)?, Age::of(&other)?);
    let backup = mine.files.0.get(&copy).cloned().ok_or("the backup is not there")?;
    let alone = Files::default().and(PATH.into(), Arc::clone(&backup));
    // On a machine of its own the backup becomes a database with a log.
    let machine: CrashFileSystem = alone.mount()?;
    let opened = Living::on(machine, page_bytes, 9)?;
    let grown = Files::of(&opened.machine)?;
    let refused = |name: &str, files: Files| Mixture::of(name.to_owned(), files, &[]);
    all.extend([
        refused("a log of another database", mine.files.main().with(theirs.files.log())),
        refused(
            "the log of the other one's, the other way round",
            theirs.files.main().with(mine.files.log()),
        ),
        refused("a backup with the log of its original", alone.clone().with(mine.files.log())),
        refused("an opened backup with the log of its original", grown.main().with(mine.files.log())),
        refused("the original with the log of its backup", mine.files.main().with(grown.log())),
        Mixture::of("a backup alone".to_owned(), alone, &[&mine.contents]),
        Mixture::of("an opened backup".to_owned(), grown, &[&mine.contents]),
    ]);
    let bytes = |age: &Age| age.files.0.get(Path::new(PATH)).cloned().unwrap_or_default();
    let (a, b) = (bytes(&mine), bytes(&theirs));
    if a.len() >= 8192 && b.len() >= 8192 {
        let mixed: Vec<u8> = a[..4096].iter().chain(&b[4096..8192]).chain(&a[8192..]).copied().collect();
        all.push(refused("meta blocks of two databases", mine.files.clone().and(PATH.into(), mixed.into())));
    }
    Ok(())
}
