//! `braid dump`: a table as JSON lines.

use std::io::Write;
use std::ops::Bound;
use std::path::PathBuf;

use braid::Error;
use serde_json::{Value, json};

use crate::commands::open;
use crate::exit::{Code, Result};
use crate::output::stdout;

/// Prints a table as JSON lines, in the order of the keys
///
/// Each line is {"key":K,"value":V}. K and V are text where the bytes are UTF-8, else {"hex":"..."}.
/// Sequences are no part of a table: `braid sequences` lists them, and raises those of the database that gets the rows.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database
    path: PathBuf,
    /// The table
    #[arg(long, value_name = "T")]
    table: String,
    /// Only keys that begin with this
    #[arg(long, value_name = "TEXT", default_value = "")]
    key_prefix: String,
    /// At most so many rows
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(crate) fn run(args: &Args) -> Result {
    let db = open::read_only(&args.path)?;
    let table = db.existing_table(&args.table)?.ok_or(Error::NoSuchTable(args.table.clone()))?;
    let mut out = stdout();
    let rows = db.snapshot()?.range(&table, bounds(args.key_prefix.as_bytes()))?;
    for row in rows.take(args.limit.unwrap_or(usize::MAX)) {
        let (key, value) = row?;
        writeln!(out, "{}", json!({"key": text_or_hex(key), "value": text_or_hex(value)}))?;
    }
    out.flush()?;
    Ok(Code::Done)
}

/// The range of the keys that begin with `prefix`.
fn bounds(prefix: &[u8]) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let end = prefix.iter().rposition(|&byte| byte < u8::MAX).and_then(|last| {
        let mut end = prefix.get(..=last)?.to_vec();
        *end.last_mut()? += 1;
        Some(end)
    });
    (Bound::Included(prefix.to_vec()), end.map_or(Bound::Unbounded, Bound::Excluded))
}

pub(super) fn text_or_hex(bytes: Vec<u8>) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) => Value::String(text),
        Err(error) => {
            let hex: String = error.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": hex })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_covers_exactly_the_keys_that_begin_with_it() {
        assert_eq!(bounds(b""), (Bound::Included(vec![]), Bound::Unbounded));
        assert_eq!(bounds(b"ab"), (Bound::Included(b"ab".to_vec()), Bound::Excluded(b"ac".to_vec())));
        assert_eq!(bounds(b"a\xff").1, Bound::Excluded(b"b".to_vec()));
        assert_eq!(bounds(b"\xff\xff").1, Bound::Unbounded);
    }

    #[test]
    fn bytes_that_are_no_text_become_hexadecimal() {
        assert_eq!(text_or_hex(b"a\"b".to_vec()).to_string(), r#""a\"b""#);
        assert_eq!(text_or_hex(vec![0xff, 0x00]).to_string(), r#"{"hex":"ff00"}"#);
    }
}
