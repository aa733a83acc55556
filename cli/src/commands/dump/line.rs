//! The lines of a dump, written and read: a JSON object each.
//!
//! | line | says |
//! | --- | --- |
//! | `{"braid_dump":1,"journal_mode":"mvcc","page_bytes":4096}` | that a dump of a whole database begins, of format 1 |
//! | `{"table":"T"}` | that the rows that follow are of table T, which may have none |
//! | `{"key":K,"value":V}` | a row |
//! | `{"next":N,"sequence":"S"}` | that no id from N on was given out of sequence S |
//! | `{"end":{"rows":R,"sequences":S,"tables":T}}` | that this is all: without it the dump was cut short |
//!
//! K and V are text where the bytes are UTF-8, else `{"hex":"..."}`: every row of bytes has one line and every line one row.
//! The dump of one table is its rows alone.

use braid::JournalMode;
use serde_json::{Map, Value, json};

/// The format that this code writes, and the newest that it reads.
const FORMAT: u64 = 1;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Head(Head),
    Table(String),
    Row { key: Vec<u8>, value: Vec<u8> },
    Sequence { name: String, next: u64 },
    End(Totals),
}

/// What the first line says of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) mode: JournalMode,
    pub(crate) page_bytes: u64,
}

/// What a dump holds, as its last line counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) tables: u64,
    pub(crate) rows: u64,
    pub(crate) sequences: u64,
}

impl Line {
    /// The line as JSON.
    pub(crate) fn json(self) -> Value {
        match self {
            Self::Head(Head { mode, page_bytes }) => {
                json!({"braid_dump": FORMAT, "journal_mode": mode.to_string(), "page_bytes": page_bytes})
            }
            Self::Table(name) => json!({"table": name}),
            Self::Row { key, value } => json!({"key": text_or_hex(key), "value": text_or_hex(value)}),
            Self::Sequence { name, next } => json!({"sequence": name, "next": next}),
            Self::End(Totals { tables, rows, sequences }) => {
                json!({"end": {"tables": tables, "rows": rows, "sequences": sequences}})
            }
        }
    }

    /// Reads a line. What this code did not write is an error that says why.
    pub(crate) fn parse(text: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(text).map_err(|_| "not UTF-8".to_owned())?;
        let mut object: Map<String, Value> =
            serde_json::from_str(text).map_err(|error| format!("no line of a dump: {error}"))?;
        let line = match (object.remove("braid_dump"), object.remove("key"), object.remove("table")) {
            (Some(format), None, None) => Some(Self::Head(head(&format, &mut object)?)),
            (None, Some(key), None) => match object.remove("value") {
                Some(value) => Some(Self::Row { key: bytes("key", key)?, value: bytes("value", value)? }),
                None => return Err("the row has no value".to_owned()),
            },
            (None, None, Some(Value::String(name))) => Some(Self::Table(name)),
            (None, None, None) => sequence(&mut object).or_else(|| end(&mut object)),
            _ => None,
        };
        line.filter(|_| object.is_empty()).ok_or_else(|| "no line of a dump".to_owned())
    }

    /// Whether this is how a dump of a whole database begins, of whatever format.
    pub(crate) fn begins_dump(text: &[u8]) -> bool {
        Self::format(text).is_some()
    }

    /// Whether this is how one begins of a newer format than this code reads.
    pub(crate) fn begins_newer_dump(text: &[u8]) -> bool {
        Self::format(text).is_some_and(|format| format > FORMAT)
    }

    fn format(text: &[u8]) -> Option<u64> {
        serde_json::from_slice::<Map<String, Value>>(text).ok()?.get("braid_dump")?.as_u64()
    }
}

fn head(format: &Value, object: &mut Map<String, Value>) -> Result<Head, String> {
    if format.as_u64() != Some(FORMAT) {
        return Err(format!("the dump has format {format}, and this version reads format {FORMAT}"));
    }
    let mode = object.remove("journal_mode");
    let mode = mode.as_ref().and_then(Value::as_str).and_then(|name| name.parse().ok());
    let page_bytes = object.remove("page_bytes").as_ref().and_then(Value::as_u64);
    let (mode, page_bytes) =
        mode.zip(page_bytes).ok_or("the head of the dump does not say all that it must")?;
    Ok(Head { mode, page_bytes })
}

fn sequence(object: &mut Map<String, Value>) -> Option<Line> {
    let Some(Value::String(name)) = object.remove("sequence") else { return None };
    Some(Line::Sequence { name, next: object.remove("next")?.as_u64()? })
}

fn end(object: &mut Map<String, Value>) -> Option<Line> {
    let totals = object.remove("end")?;
    let count = |name| totals.get(name).and_then(Value::as_u64);
    let (tables, rows, sequences) = (count("tables")?, count("rows")?, count("sequences")?);
    Some(Line::End(Totals { tables, rows, sequences }))
}

/// Text where the bytes are UTF-8, else their digits.
pub(crate) fn text_or_hex(bytes: Vec<u8>) -> Value {
    match String::from_utf8(bytes) {
        Ok(text) => Value::String(text),
        Err(error) => {
            let mut hex = String::with_capacity(error.as_bytes().len() * 2);
            for byte in error.as_bytes() {
                for half in [byte >> 4, byte & 0xf] {
                    hex.extend(char::from_digit(u32::from(half), 16));
                }
            }
            json!({ "hex": hex })
        }
    }
}

/// The bytes that [`text_or_hex`] made `value` of.
fn bytes(what: &str, value: Value) -> Result<Vec<u8>, String> {
    match value {
        Value::String(text) => Ok(text.into_bytes()),
        Value::Object(object) => match (object.len(), object.get("hex")) {
            (1, Some(Value::String(hex))) => from_hex(hex),
            _ => None,
        }
        .ok_or_else(|| format!("the {what} is no pairs of hexadecimal digits")),
        _ => Err(format!("the {what} is neither text nor {{\"hex\":\"...\"}}")),
    }
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::json_line;

    #[test]
    fn every_line_reads_as_it_was_written() {
        let values = [
            &b""[..],
            b"text",
            b"\x00\x01\n\r\"\\",
            b"\xff\x00",
            &[0xc3, 0x28],
            "Z\u{fc}".as_bytes(),
            &7_u64.to_le_bytes(),
        ];
        let rows = values.iter().flat_map(|key| {
            values.iter().map(|value| Line::Row { key: key.to_vec(), value: value.to_vec() })
        });
        let others = [
            Line::Head(Head { mode: JournalMode::Wal, page_bytes: 512 }),
            Line::Head(Head { mode: JournalMode::Mvcc, page_bytes: 65_536 }),
            Line::Table("odd \u{1b}\n name".to_owned()),
            Line::Sequence { name: "s".to_owned(), next: u64::MAX },
            Line::End(Totals { tables: 1, rows: 2, sequences: 3 }),
        ];
        for line in rows.chain(others) {
            let text = json_line(&line.clone().json());
            assert!(!text.contains('\n'));
            assert_eq!(Line::begins_dump(text.as_bytes()), matches!(line, Line::Head(_)), "{text}");
            assert_eq!(Line::parse(text.as_bytes()), Ok(line), "{text}");
        }
    }

    #[test]
    fn what_no_dump_holds_is_refused() {
        for text in [
            "",
            "7",
            "{}",
            r#"{"key":"a"}"#,
            r#"{"key":"a","value":7}"#,
            r#"{"key":{"hex":"0"},"value":""}"#,
            r#"{"key":{"hex":"+1"},"value":""}"#,
            r#"{"key":{"hex":"00","more":1},"value":""}"#,
            r#"{"key":"a","value":"b","more":"c"}"#,
            r#"{"key":"a","value":"b","table":"c"}"#,
            r#"{"sequence":"a","next":-1}"#,
            r#"{"end":{"tables":1}}"#,
            r#"{"braid_dump":2,"journal_mode":"wal","page_bytes":4096}"#,
            r#"{"braid_dump":1}"#,
        ] {
            assert!(Line::parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(Line::parse(b"\xff").is_err());
        assert!(Line::parse(br#"{"braid_dump":2}"#).unwrap_err().contains("format 2"));
    }

    #[test]
    fn bytes_that_are_no_text_become_hexadecimal() {
        assert_eq!(text_or_hex(b"a\"b".to_vec()).to_string(), r#""a\"b""#);
        assert_eq!(text_or_hex(vec![0xff, 0x00]).to_string(), r#"{"hex":"ff00"}"#);
    }
}
