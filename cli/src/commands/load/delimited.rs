//! CSV and TSV with a header.
//!
//! CSV follows RFC 4180 to the letter, which general readers of CSV do not: a quote begins a field or is doubled inside
//! a quoted one, and nothing but a delimiter follows the closing one. What breaks this is rejected at the line where the
//! record begins, and reading resumes at the very next line, so one stray quote costs one record and never the rest
//! of the file. TSV knows no quoting (its media type has none): a tab always separates.

use std::io::BufRead;

use super::lines::{Line, Lines};
use super::record::{Item, LoadError, MAX_RECORD_BYTES, Records};

/// The most lines that a quoted field may lead a record over. What is put back after a stray quote is bounded by it.
const MAX_RECORD_LINES: usize = 10_000;

/// The records of a CSV or TSV file.
#[derive(Debug)]
pub(super) struct Delimited<R> {
    lines: Lines<R>,
    dialect: Dialect,
    /// The names of the columns, as JSON strings.
    columns: Vec<String>,
    /// Which column the key is taken from.
    key: usize,
}

#[derive(Clone, Copy, Debug)]
struct Dialect {
    delimiter: u8,
    quoting: bool,
}

impl<R: BufRead> Delimited<R> {
    pub(super) fn csv(lines: Lines<R>, key: &str) -> Result<Self, LoadError> {
        Self::new(lines, Dialect { delimiter: b',', quoting: true }, key)
    }

    pub(super) fn tsv(lines: Lines<R>, key: &str) -> Result<Self, LoadError> {
        Self::new(lines, Dialect { delimiter: b'\t', quoting: false }, key)
    }

    fn new(mut lines: Lines<R>, dialect: Dialect, key: &str) -> Result<Self, LoadError> {
        let header = match read_record(&mut lines, dialect)? {
            Some((_, Ok(header))) => header,
            Some((line, Err(reason))) => {
                return Err(LoadError::Header(format!("the header on line {line}: {reason}")));
            }
            None => {
                return Err(LoadError::Header("the file is empty; it must begin with a header".to_owned()));
            }
        };
        for (i, name) in header.iter().enumerate() {
            if header.iter().take(i).any(|earlier| earlier == name) {
                return Err(LoadError::Header(format!("the header names the column `{name}` twice")));
            }
        }
        let Some(key) = header.iter().position(|name| name == key) else {
            return Err(LoadError::Header(format!(
                "there is no column `{key}`; the header has: {}",
                header.join(", ")
            )));
        };
        Ok(Self { lines, dialect, columns: header.iter().map(|name| json(name)).collect(), key })
    }

    fn row(&self, fields: &[String]) -> Result<(String, String), String> {
        if fields.len() != self.columns.len() {
            return Err(format!("expected {} columns, found {}", self.columns.len(), fields.len()));
        }
        let key = fields.get(self.key).filter(|key| !key.is_empty()).ok_or("the key is empty")?;
        let mut value =
            String::with_capacity(fields.iter().zip(&self.columns).map(|(f, c)| f.len() + c.len() + 6).sum());
        for (column, field) in self.columns.iter().zip(fields) {
            value.push(if value.is_empty() { '{' } else { ',' });
            value.push_str(column);
            value.push(':');
            value.push_str(&json(field));
        }
        value.push('}');
        Ok((key.clone(), value))
    }
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

impl<R: BufRead> Records for Delimited<R> {
    fn next(&mut self) -> Result<Option<Item>, LoadError> {
        let Some((line, fields)) = read_record(&mut self.lines, self.dialect)? else {
            return Ok(None);
        };
        Ok(Some(match fields.and_then(|fields| self.row(&fields)) {
            Ok((key, value)) => Item::Row { line, key: key.into(), value: value.into() },
            Err(reason) => Item::Rejected { line, reason },
        }))
    }
}

/// The next record that is not a blank line: the line that it begins on, and its fields or what is wrong.
type Read = Option<(u64, Result<Vec<String>, String>)>;

fn read_record<R: BufRead>(lines: &mut Lines<R>, dialect: Dialect) -> Result<Read, LoadError> {
    let first = loop {
        match lines.next()? {
            Some(line) if line.bytes.is_empty() => {}
            Some(line) => break line,
            None => return Ok(None),
        }
    };
    let number = first.number;
    let mut splitter = Splitter::new(dialect);
    let mut further: Vec<Line> = Vec::new();
    let mut bytes = first.bytes.len();
    let mut fed = if first.cut { Err(too_long()) } else { splitter.feed(&first.bytes) };
    while let Ok(Fed::Open) = fed {
        if bytes > MAX_RECORD_BYTES || further.len() >= MAX_RECORD_LINES {
            fed = Err(format!("a quote is still open after {} lines", further.len() + 1));
            break;
        }
        let Some(line) = lines.next()? else {
            fed = Err("a quote is never closed".to_owned());
            break;
        };
        bytes += line.bytes.len() + 1;
        fed = if line.cut { Err(too_long()) } else { splitter.feed(&line.bytes) };
        further.push(line);
    }
    Ok(Some(match fed {
        Ok(_) => (number, splitter.fields()),
        Err(reason) => {
            lines.put_back(further);
            (number, Err(reason))
        }
    }))
}

fn too_long() -> String {
    format!("longer than {MAX_RECORD_BYTES} bytes")
}

/// What a line did to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fed {
    /// It ended it.
    Complete,
    /// It ended inside quotes: the next line goes on.
    Open,
}

/// Splits a record into fields, line by line.
#[derive(Debug)]
struct Splitter {
    dialect: Dialect,
    state: State,
    fields: Vec<Vec<u8>>,
    field: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// After a quote inside quotes: a second one stands for a quote, everything else closes.
    QuoteInQuoted,
}

impl Splitter {
    fn new(dialect: Dialect) -> Self {
        Self { dialect, state: State::FieldStart, fields: Vec::new(), field: Vec::new() }
    }

    fn feed(&mut self, line: &[u8]) -> Result<Fed, String> {
        let Dialect { delimiter, quoting } = self.dialect;
        for &byte in line {
            self.state = match (self.state, byte) {
                (State::Quoted, b'"') => State::QuoteInQuoted,
                (State::Quoted, _) | (State::QuoteInQuoted, b'"') => self.push(byte, State::Quoted),
                (_, byte) if byte == delimiter => self.end_field(),
                (State::FieldStart, b'"') if quoting => State::Quoted,
                (State::Plain, b'"') if quoting => {
                    return Err(format!("a quote inside the unquoted column {}", self.fields.len() + 1));
                }
                (State::QuoteInQuoted, _) => {
                    return Err(format!("text after the closing quote of column {}", self.fields.len() + 1));
                }
                (State::FieldStart | State::Plain, _) => self.push(byte, State::Plain),
            };
        }
        if self.state == State::Quoted {
            self.field.push(b'\n');
            return Ok(Fed::Open);
        }
        self.state = self.end_field();
        Ok(Fed::Complete)
    }

    fn push(&mut self, byte: u8, state: State) -> State {
        self.field.push(byte);
        state
    }

    fn end_field(&mut self) -> State {
        self.fields.push(std::mem::take(&mut self.field));
        State::FieldStart
    }

    fn fields(self) -> Result<Vec<String>, String> {
        self.fields
            .into_iter()
            .zip(1..)
            .map(|(field, column)| {
                String::from_utf8(field).map_err(|_| format!("column {column} is not UTF-8"))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Got = Result<(u64, String, String), (u64, String)>;

    fn csv(input: &[u8]) -> Vec<Got> {
        let mut records = Delimited::csv(Lines::new(input), "id").unwrap();
        std::iter::from_fn(|| records.next().unwrap())
            .map(|item| match item {
                Item::Row { line, key, value } => {
                    Ok((line, String::from_utf8(key).unwrap(), String::from_utf8(value).unwrap()))
                }
                Item::Rejected { line, reason } => Err((line, reason)),
            })
            .collect()
    }

    fn row(line: u64, key: &str, value: &str) -> Got {
        Ok((line, key.to_owned(), value.to_owned()))
    }

    fn rejected(line: u64, reason: &str) -> Got {
        Err((line, reason.to_owned()))
    }

    #[test]
    fn quotes_delimiters_and_line_ends_inside_quotes_are_text() {
        let got = csv(b"id,\"a \"\"b\"\"\"\r\n1,\"x, \"\"y\"\"\r\nz\"\r\n\n2,\n");
        assert_eq!(
            got,
            [row(2, "1", r#"{"id":"1","a \"b\"":"x, \"y\"\nz"}"#), row(5, "2", r#"{"id":"2","a \"b\"":""}"#)]
        );
    }

    #[test]
    fn a_stray_quote_costs_one_record() {
        let got = csv(b"id,a\n1,\"open\n2,fine\n3,\"quoted\"\n4,in\"side\n5,\"closed\"x\n6,\"never\n7,kept");
        assert_eq!(
            got,
            [
                rejected(2, "text after the closing quote of column 2"),
                row(3, "2", r#"{"id":"2","a":"fine"}"#),
                row(4, "3", r#"{"id":"3","a":"quoted"}"#),
                rejected(5, "a quote inside the unquoted column 2"),
                rejected(6, "text after the closing quote of column 2"),
                rejected(7, "a quote is never closed"),
                row(8, "7", r#"{"id":"7","a":"kept"}"#),
            ]
        );
    }

    #[test]
    fn an_open_quote_cannot_swallow_a_long_file() {
        let mut input = b"id,a\n1,\"open\n".to_vec();
        for id in 2..30_000 {
            input.extend(format!("{id},b\n").bytes());
        }
        let got = csv(&input);
        assert_eq!(got.len(), 29_999);
        assert_eq!(got.iter().filter(|record| record.is_err()).count(), 1);
    }

    #[test]
    fn wrong_columns_empty_keys_and_foreign_encodings_are_rejected() {
        let got = csv(b"id,a\n1\n1,2,3\n,2\n\xff,2\n1,\xff\n");
        assert_eq!(
            got,
            [
                rejected(2, "expected 2 columns, found 1"),
                rejected(3, "expected 2 columns, found 3"),
                rejected(4, "the key is empty"),
                rejected(5, "column 1 is not UTF-8"),
                rejected(6, "column 2 is not UTF-8"),
            ]
        );
    }

    #[test]
    fn tab_separated_values_know_no_quotes() {
        let mut records = Delimited::tsv(Lines::new(&b"id\ta\n1\t6\" nail\n"[..]), "id").unwrap();
        let expected = Item::Row { line: 2, key: "1".into(), value: r#"{"id":"1","a":"6\" nail"}"#.into() };
        assert_eq!(records.next().unwrap(), Some(expected));
    }

    #[test]
    fn a_header_of_no_use_is_an_error() {
        for (input, reason) in [
            (&b""[..], "empty"),
            (b"a,b\n", "no column `id`; the header has: a, b"),
            (b"id,id\n", "twice"),
            (b"id,\"b\n", "never closed"),
            (b"id,\xff\n", "not UTF-8"),
        ] {
            let error = Delimited::csv(Lines::new(input), "id").map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
