//! The formats, and which one a file has.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use clap::ValueEnum;

use super::delimited::Delimited;
use super::dumped::Dumped;
use super::json_lines::JsonLines;
use super::lines::Lines;
use super::record::{LoadError, Records};
use crate::commands::dump::Line;
use crate::exit::{Code, Failure};

/// How much is read at once.
const READ_BYTES: usize = 128 << 10;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Comma-separated values with a header
    Csv,
    /// Tab-separated values with a header
    Tsv,
    /// One JSON object a line
    Jsonl,
    /// What `braid dump` wrote
    Dump,
}

/// A file as its format reads it.
pub(super) enum Source {
    /// Records for one table.
    Records(Box<dyn Records>),
    /// Rows as they were, and where they belong.
    Dump(Dumped<BufReader<Box<dyn Read>>>),
}

impl Format {
    /// What the file's ending says.
    fn of(file: &Path) -> Result<Self, Failure> {
        let ending = file.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Ok(Self::Csv),
            "tsv" | "tab" => Ok(Self::Tsv),
            "jsonl" | "ndjson" => Ok(Self::Jsonl),
            _ => Err(Failure::new(
                Code::Usage,
                format!("the name {} does not tell the format", file.display()),
                "add --format csv, tsv, jsonl or dump",
            )),
        }
    }

    /// What the name of the file says, and its first line: a dump of a whole database begins with one that nothing else has
    /// use for. Where JSON lines may be either, neither is guessed.
    fn found<R: BufRead>(file: &Path, lines: &mut Lines<R>, key: Option<&str>) -> Result<Self, LoadError> {
        let named = Self::of(file);
        if matches!(named, Ok(Self::Csv | Self::Tsv)) {
            return Ok(named?);
        }
        let first = lines.peek()?.map_or(&b""[..], |line| &line.bytes);
        let dump = Line::begins_dump(first);
        let either = if dump { key.is_some() } else { key == Some("key") && is_row(first) };
        if either {
            return Err(LoadError::Usage(Failure::new(
                Code::Usage,
                format!("{} looks like what `braid dump` writes", file.display()),
                "say --format dump, without --key, or --format jsonl where each line is a record",
            )));
        }
        if dump { Ok(Self::Dump) } else { Ok(named?) }
    }
}

impl Source {
    /// What `input` holds: in the format that is said, or that is found.
    pub(super) fn new(
        input: Box<dyn Read>,
        said: Option<Format>,
        file: &Path,
        key: Option<&str>,
    ) -> Result<Self, LoadError> {
        let mut lines = Lines::new(BufReader::with_capacity(READ_BYTES, input));
        let format = match said {
            Some(format) => format,
            None => Format::found(file, &mut lines, key)?,
        };
        let column = key.ok_or_else(|| missing("--key COLUMN", "the column that the key is taken from"));
        Ok(match format {
            Format::Csv => Self::Records(Box::new(Delimited::csv(lines, column?)?)),
            Format::Tsv => Self::Records(Box::new(Delimited::tsv(lines, column?)?)),
            Format::Jsonl => Self::Records(Box::new(JsonLines::new(lines, column?))),
            Format::Dump if key.is_some() => {
                return Err(LoadError::Usage(Failure::new(
                    Code::Usage,
                    "a dump has the keys of its rows, and --key names another",
                    "leave --key away",
                )));
            }
            Format::Dump => Self::Dump(Dumped::new(lines)?),
        })
    }
}

/// A failure that asks for an option.
pub(super) fn missing(option: &str, what: &str) -> Failure {
    Failure::new(
        Code::Usage,
        format!("{option} is missing: {what}"),
        "see `braid load --help`; only a dump of a whole database needs neither --table nor --key",
    )
}

/// Whether a line could be a row of a dump.
fn is_row(line: &[u8]) -> bool {
    matches!(Line::parse(line), Ok(Line::Row { .. }))
}
