//! `braid sequences`: how far the sequences have come, and raising them where rows with their ids come from elsewhere.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use braid::limits::MAX_SEQUENCE_NAME_BYTES;
use braid::{Database, SequenceOptions};
use serde_json::{Value, json};

use crate::commands::open;
use crate::exit::{Code, Failure, Result};
use crate::output::{say, stdout, table};

/// How much is read of a list.
const MAX_LIST_BYTES: u64 = 64 << 20;
/// What some programs begin a UTF-8 file with.
const BYTE_ORDER_MARK: char = '\u{feff}';
const NOT_A_SEQUENCE: &str = "does not name a sequence and its next id";

/// Lists the sequences, or raises them
///
/// NEXT is the first id that was not reserved: since the sequence was made, neither it nor any above was given out. Give a
/// database that gets the rows of another one its sequences too, or it gives out ids that are in those rows. First the rows
/// and then the sequences, or rows that came in between hold ids above. `braid dump OLD | braid load NEW -` takes both along;
/// for rows that come another way:
///
///   braid sequences OLD --json | braid sequences NEW --raise-from -
///
/// The last line of the list says how many there are. Without it the list was cut, and nothing is raised.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The database; not a byte of it is changed unless something is raised
    path: PathBuf,
    /// Have NAME give out no id below NEXT. It is made where it does not exist, and never lowered. May be given many times
    #[arg(long, value_name = "NAME=NEXT", value_parser = name_and_next)]
    raise: Vec<(String, u64)>,
    /// The same for each line of a file that --json wrote, `-` for standard input. One that was cut is refused
    #[arg(long, value_name = "FILE")]
    raise_from: Option<PathBuf>,
    /// As JSON lines: {"name":NAME,"next":NEXT} for each, and at last {"sequences":N}, which is how many
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let mut raise = args.raise.clone();
    if let Some(file) = &args.raise_from {
        raise.extend(listed(file)?);
    }
    if raise.is_empty() && args.raise_from.is_none() {
        return list(&open::read_only(&args.path)?, args.json);
    }
    let db = open::existing(&args.path)?;
    raise_all(&db, &raise)?;
    let done = list(&db, args.json);
    db.close()?;
    done
}

/// Raises one after the other. What fails tells how far that came.
fn raise_all(db: &Database, all: &[(String, u64)]) -> Result<()> {
    for (done, (name, next)) in all.iter().enumerate() {
        raise(db, name, *next).map_err(|error| {
            Failure::from(error).after(format!("raised {done} of {}; `{name}`", all.len()))
        })?;
    }
    Ok(())
}

/// Has a sequence, which is made where it does not exist, give out no id below `next`.
pub(super) fn raise(db: &Database, name: &str, next: u64) -> braid::Result<()> {
    let made = SequenceOptions { start: next, ..SequenceOptions::default() };
    db.sequence_with(name, made).and_then(|ids| ids.raise_to(next)).map(drop)
}

fn list(db: &Database, as_json: bool) -> Result {
    let all = positions(db)?;
    if as_json {
        let mut out = stdout();
        for (name, next) in &all {
            writeln!(out, "{}", json!({"name": name, "next": next}))?;
        }
        // Without it a list that was cut, or that of a run that failed, would look whole.
        writeln!(out, "{}", json!({"sequences": all.len()}))?;
        out.flush()?;
    } else {
        let rows = all.into_iter().map(|(name, next)| [name, next.to_string()]).collect();
        say(&table(["sequence", "next"], [false, true], rows))?;
    }
    Ok(Code::Done)
}

/// Each sequence and its first id that was not reserved.
pub(super) fn positions(db: &Database) -> Result<Vec<(String, u64)>> {
    let mut all = Vec::new();
    for name in db.sequences()? {
        if let Some(next) = db.unreserved_id(&name)? {
            all.push((name, next));
        }
    }
    Ok(all)
}

/// The lines of a file that `--json` wrote. Nothing is raised unless all of them can be read.
fn listed(file: &Path) -> Result<Vec<(String, u64)>> {
    let failed = |error: io::Error| Failure::file(file, &error);
    let (source, input): (_, Box<dyn Read>) = if file.as_os_str() == "-" {
        ("standard input".to_owned(), Box::new(io::stdin()))
    } else {
        (file.display().to_string(), Box::new(File::open(file).map_err(failed)?))
    };
    let mut bytes = Vec::new();
    let read = input.take(MAX_LIST_BYTES + 1).read_to_end(&mut bytes);
    if read.map_err(|error| Failure::file(Path::new(&source), &error))? as u64 > MAX_LIST_BYTES {
        return Err(bad(format!("{source} is larger than 64 MiB")));
    }
    let text = String::from_utf8(bytes).map_err(|_| bad(format!("{source} is not UTF-8")))?;
    parsed(&text, &source)
}

/// What a list says, which is from `source`: its last line must be there and tell the number of those before. Lists may
/// follow each other.
fn parsed(text: &str, source: &str) -> Result<Vec<(String, u64)>> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
    if lines.peek().is_none() {
        return Err(bad(format!("the list of {source} is empty")));
    }
    // `open` is how many sequences came since a list's last line.
    let (mut all, mut open, mut ended) = (Vec::new(), 0_u64, false);
    for (at, line) in lines {
        let wrong = |what: &str| bad(format!("line {} of {source} {what}", at + 1));
        let value: Value = serde_json::from_str(line).map_err(|_| wrong(NOT_A_SEQUENCE))?;
        ended = value.get("sequences").is_some();
        if ended {
            if value != json!({"sequences": open}) {
                return Err(wrong(&format!("does not end a list of {open}")));
            }
            open = 0;
            continue;
        }
        let name = value.get("name").and_then(Value::as_str);
        let next = value.get("next").and_then(Value::as_u64);
        let (name, next) = name.zip(next).ok_or_else(|| wrong(NOT_A_SEQUENCE))?;
        check_name(name).map_err(|message| wrong(&format!("names no sequence: {message}")))?;
        all.push((name.to_owned(), next));
        open += 1;
    }
    if !ended {
        return Err(bad(format!(
            "the list of {source} is cut: it has no last line {{\"sequences\":{open}}}"
        )));
    }
    Ok(all)
}

fn bad(message: String) -> Failure {
    let hint = "make the list with `braid sequences DB --json`, and see whether that failed";
    Failure::new(Code::DataProblem, message, hint)
}

/// What `--raise` is given. A name may hold an equals sign, a number does not.
fn name_and_next(text: &str) -> Result<(String, u64), String> {
    let (name, next) = text.rsplit_once('=').ok_or("it has the form NAME=NEXT")?;
    check_name(name)?;
    // A number would be read with a plus sign before it, too.
    let digits = next.bytes().all(|byte| byte.is_ascii_digit());
    let next = next.parse().ok().filter(|_| digits);
    Ok((name.to_owned(), next.ok_or("NEXT is a number from 0 to 18446744073709551615")?))
}

/// As the engine does, before anything is raised.
fn check_name(name: &str) -> Result<(), String> {
    if (1..=MAX_SEQUENCE_NAME_BYTES).contains(&name.len()) {
        Ok(())
    } else {
        Err(format!("a name has 1 to {MAX_SEQUENCE_NAME_BYTES} bytes, and this one {}", name.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(failure: Failure) -> String {
        match failure {
            Failure::Told { message, .. } => message,
            Failure::PipeClosed => String::new(),
        }
    }

    #[test]
    fn one_that_cannot_be_raised_tells_how_far_it_came() {
        let db = Database::in_memory().unwrap();
        let all = [("a", 7), ("b", 8), ("", 9), ("c", 10)].map(|(name, next)| (name.to_owned(), next));
        let told = message(raise_all(&db, &all).unwrap_err());
        assert!(told.starts_with("raised 2 of 4; ``: "), "{told}");
        assert_eq!(positions(&db).unwrap(), [("a".to_owned(), 7), ("b".to_owned(), 8)]);
    }

    #[test]
    fn names_are_refused_as_the_engine_does() {
        let db = Database::in_memory().unwrap();
        for bytes in [0, 1, MAX_SEQUENCE_NAME_BYTES, MAX_SEQUENCE_NAME_BYTES + 1] {
            let name = "x".repeat(bytes);
            assert_eq!(check_name(&name).is_ok(), db.sequence(&name).is_ok(), "{bytes}");
        }
    }

    #[test]
    fn a_list_ends_with_its_number() {
        let none = "{\"sequences\":0}\n";
        assert_eq!(parsed(none, "it").unwrap(), []);
        let (a, b) = ("{\"name\":\"a\",\"next\":7}\r\n", "{\"name\":\"b\",\"next\":8}\n");
        let (one, two) = ("{\"sequences\":1}\r\n", "{\"sequences\":2}");
        let named = |name: &str, next| (name.to_owned(), next);
        assert_eq!(parsed(&format!("\u{feff}{a}{one}\n"), "it").unwrap(), [named("a", 7)]);
        for whole in [format!("{a}{b}{two}"), format!("{a}{one}{none}{b}{one}")] {
            assert_eq!(parsed(&whole, "it").unwrap(), [named("a", 7), named("b", 8)]);
        }
        let cut = |open| format!("the list of it is cut: it has no last line {{\"sequences\":{open}}}");
        for (list, open) in [(a.to_owned(), 1), (format!("{a}{b}"), 2), (format!("{a}{one}{b}"), 1)] {
            assert_eq!(message(parsed(&list, "it").unwrap_err()), cut(open), "{list}");
        }
        for (list, open) in [(format!("{b}{two}"), 1), (format!("{a}{b}{one}"), 2), (format!("{a}{none}"), 1)]
        {
            let told = message(parsed(&list, "it").unwrap_err());
            assert!(told.ends_with(&format!(" does not end a list of {open}")), "{told}");
        }
        for empty in ["", "\n", "\u{feff}", " \r\n\t\n"] {
            assert_eq!(message(parsed(empty, "it").unwrap_err()), "the list of it is empty");
        }
        for other in ["{\"sequences\":1}", "{\"sequences\":0,\"name\":7}", "[]"] {
            assert!(message(parsed(other, "it").unwrap_err()).starts_with("line 1 of it "), "{other}");
        }
    }
}
