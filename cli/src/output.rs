//! Standard output: tables, and numbers, sizes, durations and foreign text as a person reads them.

use std::fmt::Write as _;
use std::io::{self, BufWriter, StdoutLock, Write};
use std::time::Duration;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// Standard output, locked and buffered. Callers flush it, so that a closed pipe is noticed.
pub(crate) fn stdout() -> BufWriter<StdoutLock<'static>> {
    BufWriter::with_capacity(64 << 10, io::stdout().lock())
}

/// A table with a header; every column but the first is aligned to the right where `numeric` says so.
pub(crate) fn table<const N: usize>(header: [&str; N], numeric: [bool; N], rows: Vec<[String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    for (column, numeric) in table.column_iter_mut().zip(numeric) {
        column.set_padding((0, 2));
        if numeric {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

/// Lines of a name and what it is, aligned.
pub(crate) fn facts<'a>(facts: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let facts: Vec<_> = facts.into_iter().collect();
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in facts {
        let _ = writeln!(text, "{name:width$}  {}", printable(&value));
    }
    text
}

/// Writes lines of text and flushes.
pub(crate) fn say(text: &str) -> io::Result<()> {
    let mut out = stdout();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    out.flush()
}

/// Text from elsewhere without control characters, so that it cannot steer a terminal or break a line.
pub(crate) fn printable(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut out, c| {
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
        out
    })
}

/// JSON in one line. Control characters that JSON leaves as they are, such as U+007F, are escaped in it too.
pub(crate) fn json_line(value: &serde_json::Value) -> String {
    let text = value.to_string();
    if !text.chars().any(char::is_control) {
        return text;
    }
    text.chars().fold(String::with_capacity(text.len() + 8), |mut out, c| {
        if c.is_control() {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
        out
    })
}

/// `1234567` as `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count and its noun: `1 row`, `2 rows`.
pub(crate) fn plural(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A size in binary units: `1.5 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut value = n as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS.get(unit).copied().unwrap_or_default())
}

/// A duration with three digits or so: `870 ns`, `12.3 µs`, `4.56 ms`, `1.20 s`.
pub(crate) fn duration(d: Duration) -> String {
    let nanos = d.as_nanos() as f64;
    match d.as_nanos() {
        0..1_000 => format!("{nanos} ns"),
        1_000..1_000_000 => format!("{:.1} µs", nanos / 1e3),
        1_000_000..1_000_000_000 => format!("{:.2} ms", nanos / 1e6),
        _ => format!("{:.2} s", d.as_secs_f64()),
    }
}

/// How many a second, without a fraction.
pub(crate) fn rate(n: u64, time: Duration) -> u64 {
    let rate = u128::from(n) * 1_000_000_000 / time.as_nanos().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// A share, or `-` of nothing.
pub(crate) fn ratio(of: u64, by: u64) -> String {
    if by == 0 { "-".to_owned() } else { format!("{:.3}", of as f64 / by as f64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            [0, 1023, 1024, 1_048_575, u64::MAX].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.0 MiB", "16.0 EiB"]
        );
        assert_eq!(duration(Duration::from_nanos(870)), "870 ns");
        assert_eq!(duration(Duration::from_micros(12_345)), "12.35 ms");
        assert_eq!(plural(1, "row"), "1 row");
        assert_eq!(ratio(1, 0), "-");
        assert_eq!(rate(30, Duration::from_millis(1500)), 20);
    }

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("Zürich"), "Zürich");
        let steering = serde_json::json!("\u{7f}\u{9b}2J\u{1b}Zürich");
        assert_eq!(json_line(&steering), r#""\u007f\u009b2J\u001bZürich""#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json_line(&steering)).unwrap(), steering);
    }

    #[test]
    fn tables_have_no_trailing_blanks() {
        let text = table(
            ["table", "rows"],
            [false, true],
            vec![["a".into(), "1".into()], ["bcd".into(), "12".into()]],
        );
        assert!(text.lines().all(|line| line == line.trim_end()), "{text:?}");
        assert_eq!(text.lines().count(), 3);
    }
}
