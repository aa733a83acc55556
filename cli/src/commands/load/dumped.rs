//! What `braid dump` wrote: the rows of one table, or a whole database with the names of its tables.

use std::io::BufRead;

use super::lines::Lines;
use super::record::{Item, LoadError, Records};
use crate::commands::dump::{Head, Line, Totals};
use crate::exit::{Code, Failure};

/// The longest line: that of the longest row in the longest way to write it, which is text of control characters.
const MAX_LINE_BYTES: usize =
    (braid::limits::MAX_VALUE_BYTES + braid::limits::MAX_PAGE_BYTES).saturating_mul(6);

/// The rows of a dump up to the next line that is none, which is a [`Mark`].
#[derive(Debug)]
pub(super) struct Dumped<R> {
    lines: Lines<R>,
    head: Option<Head>,
    mark: Option<Mark>,
    seen: Totals,
    /// A line that may have named a table, and could not be read: whose rows follow is not known.
    doubt: Option<u64>,
    ended: bool,
}

/// What a dump of a whole database says between rows.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The rows that follow are of this table.
    Table(String),
    /// A sequence and its next id.
    Sequence {
        /// Its name.
        name: String,
        /// The first id that was not given out.
        next: u64,
    },
}

impl<R: BufRead> Dumped<R> {
    /// Reads the first line, which may say that the dump is of a whole database.
    pub(super) fn new(mut lines: Lines<R>) -> Result<Self, LoadError> {
        lines.allow(MAX_LINE_BYTES);
        let mut head = None;
        if lines.peek()?.is_some_and(|line| Line::begins_dump(&line.bytes))
            && let Some(line) = lines.next()?
        {
            match Line::parse(&line.bytes) {
                Ok(Line::Head(found)) => head = Some(found),
                Ok(_) => {}
                Err(reason) if Line::begins_newer_dump(&line.bytes) => {
                    return Err(Failure::new(Code::NewerFormat, reason, "install the newest braid").into());
                }
                Err(reason) => return Err(LoadError::Header(reason)),
            }
        }
        Ok(Self { lines, head, mark: None, seen: Totals::default(), doubt: None, ended: false })
    }

    /// What the dump says of the database, if it is one of a whole database.
    pub(super) fn head(&self) -> Option<Head> {
        self.head
    }

    /// What ended the rows, once for each.
    pub(super) fn take_mark(&mut self) -> Option<Mark> {
        self.mark.take()
    }

    /// Whether everything was read that a dump of a whole database has; one of a table cannot tell.
    pub(super) fn is_whole(&self) -> bool {
        self.ended || self.head.is_none()
    }

    /// From a line on whose rows follow is not known.
    fn doubt_from(&mut self, line: u64) {
        if self.head.is_some() {
            self.doubt.get_or_insert(line);
        }
    }

    /// What a line says: an item, or nothing where it is a mark.
    fn item(&mut self, number: u64, line: Line) -> Option<Item> {
        let rejected = |reason: &str| Some(Item::Rejected { line: number, reason: reason.to_owned() });
        if self.ended {
            return rejected("it follows the end of the dump");
        }
        match line {
            Line::Row { .. } if self.head.is_some() && self.seen.tables == 0 => {
                rejected("no table is named before it")
            }
            Line::Row { key, value } => {
                self.seen.rows += 1;
                if let Some(line) = self.doubt {
                    return rejected(&format!("its table is not known, as line {line} cannot be read"));
                }
                Some(Item::Row { line: number, key, value })
            }
            _ if self.head.is_none() => rejected("a dump of one table holds rows alone"),
            Line::Head(_) => rejected("a second dump begins here"),
            Line::Table(name) => {
                self.seen.tables += 1;
                self.doubt = None;
                self.mark = Some(Mark::Table(name));
                None
            }
            Line::Sequence { name, next } => {
                self.seen.sequences += 1;
                self.mark = Some(Mark::Sequence { name, next });
                None
            }
            Line::End(totals) => {
                self.ended = true;
                if totals == self.seen {
                    None
                } else {
                    rejected("the dump had more, or fewer, tables, rows and sequences before this line")
                }
            }
        }
    }
}

impl<R: BufRead> Records for Dumped<R> {
    fn next(&mut self) -> Result<Option<Item>, LoadError> {
        while self.mark.is_none()
            && let Some(line) = self.lines.next()?
        {
            let number = line.number;
            if line.cut {
                self.doubt_from(number);
                return Ok(Some(Item::Rejected { line: number, reason: "longer than any row".to_owned() }));
            }
            if line.bytes.trim_ascii().is_empty() {
                continue;
            }
            let item = match Line::parse(&line.bytes) {
                Ok(line) => self.item(number, line),
                Err(reason) => {
                    if may_name_a_table(&line.bytes) {
                        self.doubt_from(number);
                    }
                    Some(Item::Rejected { line: number, reason })
                }
            };
            if item.is_some() {
                return Ok(item);
            }
        }
        Ok(None)
    }
}

/// Whether a line that cannot be read may have named a table: all but a row that was damaged by itself. A row has its quotes
/// escaped, so this is none of its text.
fn may_name_a_table(line: &[u8]) -> bool {
    const NAMED: &[u8] = b"{\"table\":";
    !line.starts_with(b"{\"key\":") || line.windows(NAMED.len()).any(|part| part == NAMED)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"{"braid_dump":1,"journal_mode":"wal","page_bytes":4096}"#;

    /// What is read: rows as their values, marks as they are, reasons of rejected lines.
    fn all(lines: &[&str]) -> (Vec<String>, bool) {
        let text = lines.join("\n");
        let mut dumped = Dumped::new(Lines::new(text.as_bytes())).unwrap();
        let mut read = Vec::new();
        loop {
            while let Some(item) = dumped.next().unwrap() {
                read.push(match item {
                    Item::Row { value, .. } => String::from_utf8(value).unwrap(),
                    Item::Rejected { line, reason } => format!("{line}: {reason}"),
                });
            }
            match dumped.take_mark() {
                Some(mark) => read.push(format!("{mark:?}")),
                None => return (read, dumped.is_whole()),
            }
        }
    }

    #[test]
    fn marks_divide_the_rows() {
        let row = r#"{"key":"a","value":"1"}"#;
        let (read, whole) = all(&[
            HEAD,
            r#"{"table":"empty"}"#,
            r#"{"table":"t"}"#,
            row,
            "",
            r#"{"sequence":"s","next":7}"#,
            r#"{"end":{"rows":1,"sequences":1,"tables":2}}"#,
        ]);
        let marks = [r#"Table("empty")"#, r#"Table("t")"#, "1", r#"Sequence { name: "s", next: 7 }"#];
        assert_eq!((read, whole), (marks.map(str::to_owned).to_vec(), true));
        assert_eq!(all(&[row]), (vec!["1".to_owned()], true));
        let (read, _) = all(&[HEAD, r#"{"table":"t"}"#, r#"{"key":"a","val"#, row]);
        assert_eq!(read.last().map(String::as_str), Some("1"), "a damaged row costs itself: {read:?}");
    }

    #[test]
    fn a_line_that_is_too_long_may_have_named_a_table() {
        let long = format!(r#"{{"key":"a","value":"{}"}}"#, "1".repeat(2000));
        let text = [HEAD, r#"{"table":"t"}"#, &long, r#"{"key":"a","value":"1"}"#].join("\n");
        let mut dumped = Dumped::new(Lines::new(text.as_bytes())).unwrap();
        dumped.lines.allow(1000);
        assert_eq!(dumped.next().unwrap(), None);
        assert!(dumped.take_mark().is_some());
        for told in ["longer than any row", "its table is not known, as line 3 cannot be read"] {
            let item = dumped.next().unwrap();
            assert!(matches!(&item, Some(Item::Rejected { reason, .. }) if reason == told), "{item:?}");
        }
    }

    #[test]
    fn what_is_cut_short_or_out_of_place_is_told() {
        let row = r#"{"key":"a","value":"1"}"#;
        assert!(!all(&[HEAD, r#"{"table":"t"}"#, row]).1);
        assert!(!all(&[HEAD]).1);
        for (lines, told) in [
            (vec![HEAD, row], "2: no table is named"),
            (vec![row, r#"{"table":"t"}"#], "2: a dump of one table"),
            (vec![HEAD, r#"{"table":"t"}"#, r#"{"tab"#, row], "4: its table is not known, as line 3"),
            (
                vec![HEAD, r#"{"table":"t"}"#, r#"{"key":"a","value":"1"}{"table":"u"}"#, row],
                "4: its table is not known, as line 3",
            ),
            (vec![HEAD, HEAD], "2: a second dump"),
            (vec![HEAD, r#"{"end":{"rows":1,"sequences":0,"tables":0}}"#], "2: the dump had more"),
            (vec![HEAD, r#"{"end":{"rows":0,"sequences":0,"tables":0}}"#, row], "3: it follows"),
        ] {
            let (read, _) = all(&lines);
            assert!(read.last().is_some_and(|last| last.starts_with(told)), "{read:?}");
        }
    }
}
