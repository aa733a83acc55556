//! Little room: small disks, few descriptors, little memory, short files.

use super::Tried;
use super::steps::{StepFigures, judge_steps};
use crate::child::SKIPPED;
use crate::{Actor, Place, Program};

/// What a child met on a disk that was too small, and then was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FullDisk {
    /// Whether the open itself found no room.
    pub refused: bool,
    /// Commits acknowledged while the disk was small.
    pub before: u64,
    /// Commits that found no room.
    pub no_space: u64,
}

/// Commits on a file system in memory of so many KiB until nothing fits, has it enlarged, and goes on. Needs the right to
/// mount, in a name space of its own if not as it is.
///
/// # Errors
/// A sentence about what did not hold.
pub fn try_full_disk(program: &Program, kib: u64) -> Result<Tried<FullDisk>, String> {
    let mut refusals = Vec::new();
    for rights in ["-m", "-Urm"] {
        let place = Place::new();
        let mount = format!(
            "mount -t tmpfs -o size={kib}k braid '{}' || exit {SKIPPED}",
            place.directory().display()
        );
        let inside = format!("({mount}); status=$?; [ $status -eq 0 ] || exit $status; true");
        let program = program.clone().after_shell(&inside).inside("unshare", &[rights]);
        let ended = Actor::run(&program, "full", &place.path(), &[]);
        if ended.status.code() == Some(i32::from(SKIPPED)) || ended.complaint.contains("unshare failed") {
            refusals.push(ended.complaint.trim().to_owned());
            continue;
        }
        let words = || format!("on {kib} KiB the child said {:?} {}", ended.lines, ended.complaint);
        if !ended.status.success() {
            return Err(words());
        }
        let last = ended.lines.last().map(String::as_str).unwrap_or_default();
        let numbers: Vec<u64> = last.split(' ').filter_map(|word| word.parse().ok()).collect();
        let [refused, before, no_space] = *numbers.as_slice() else { return Err(words()) };
        return Ok(Tried::Held(FullDisk { refused: refused > 0, before, no_space }));
    }
    Ok(Tried::Skipped(format!("no file system can be mounted here: {}", refusals.join("; "))))
}

/// Runs out of descriptors with so many allowed.
///
/// # Errors
/// A sentence about what did not hold.
pub fn try_descriptors(program: &Program, allowed: u64) -> Result<(), String> {
    let place = Place::in_memory();
    let program = program.clone().after_shell(&format!("ulimit -n {allowed}"));
    let ended = Actor::run(&program, "descriptors", &place.path(), &[]);
    if ended.status.success() && ended.complaint.is_empty() {
        judge_steps(&ended.lines, &place.path()).map(drop)
    } else {
        Err(format!("the child ended with {}: {:?} {}", ended.status, ended.lines.last(), ended.complaint))
    }
}

/// Commits in an address space of so many KiB. The process may be refused memory by an error, or be ended where Rust has
/// no error to give; nothing that was acknowledged may be lost by that. Skipped where not even the program starts.
///
/// # Errors
/// A sentence about what did not hold.
pub fn try_memory(program: &Program, kib: u64) -> Result<Tried<StepFigures>, String> {
    let place = Place::in_memory();
    let program = program.clone().after_shell(&format!("ulimit -v {kib}"));
    let ended = Actor::run(&program, "steps", &place.path(), &["40", "mapped"]);
    // As Rust says it, and as the C library does when it registers what a thread has to drop.
    let aborted = ["memory allocation", "TLS destructor: out of memory"]
        .iter()
        .any(|why| ended.complaint.contains(why));
    if ended.lines.is_empty() && !aborted {
        return Ok(Tried::Skipped(format!(
            "the program does not start in {kib} KiB: {}",
            ended.complaint.trim()
        )));
    }
    let steps = judge_steps(&ended.lines, &place.path())
        .map_err(|what| format!("{what}; the child said {:?} {}", ended.lines, ended.complaint))?;
    if ended.status.success() || aborted {
        Ok(Tried::Held(steps))
    } else {
        Err(format!("the child ended with {}: {}", ended.status, ended.complaint))
    }
}

/// Commits where no file may be longer than so many KiB; `heeded` is whether the program has asked to be told by an error,
/// else the system ends it.
///
/// # Errors
/// A sentence about what did not hold.
pub fn try_file_size(program: &Program, kib: u64, heeded: bool) -> Result<StepFigures, String> {
    let place = Place::new();
    let heed = if heeded { "trap '' XFSZ && " } else { "" };
    let program = program.clone().after_shell(&format!("{heed}ulimit -f {}", kib * 2));
    let ended = Actor::run(&program, "steps", &place.path(), &["60", "mapped"]);
    let steps = judge_steps(&ended.lines, &place.path())
        .map_err(|what| format!("{what}; the child said {:?} {}", ended.lines, ended.complaint))?;
    if (heeded && !(ended.status.success() && ended.complaint.is_empty()))
        || ended.complaint.contains("panicked")
    {
        return Err(format!("the child ended with {}: {}", ended.status, ended.complaint));
    }
    Ok(steps)
}
