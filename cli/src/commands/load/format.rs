//! The formats, and which one a file has.

use std::ffi::OsStr;
use std::io::{BufReader, Read};
use std::path::Path;

use clap::ValueEnum;

use super::delimited::Delimited;
use super::json_lines::JsonLines;
use super::lines::Lines;
use super::record::{LoadError, Records};
use crate::exit::{Code, Failure, Result};

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
}

impl Format {
    /// What the file's ending says.
    pub(super) fn of(file: &Path) -> Result<Self> {
        let ending = file.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
        match ending.as_str() {
            "csv" => Ok(Self::Csv),
            "tsv" | "tab" => Ok(Self::Tsv),
            "jsonl" | "ndjson" => Ok(Self::Jsonl),
            _ => Err(Failure::new(
                Code::Usage,
                format!("the name {} does not tell the format", file.display()),
                "add --format csv, tsv or jsonl",
            )),
        }
    }

    /// The records that `input` holds in this format, keyed by `key`.
    pub(super) fn records(self, input: Box<dyn Read>, key: &str) -> Result<Box<dyn Records>, LoadError> {
        let lines = Lines::new(BufReader::with_capacity(READ_BYTES, input));
        Ok(match self {
            Self::Csv => Box::new(Delimited::csv(lines, key)?),
            Self::Tsv => Box::new(Delimited::tsv(lines, key)?),
            Self::Jsonl => Box::new(JsonLines::new(lines, key)),
        })
    }
}
