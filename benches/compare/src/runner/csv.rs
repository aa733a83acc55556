//! Tables as files: a line is written whole, and at once.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// A file that grows line by line; what was measured stays, however the run ends.
#[derive(Debug)]
pub(crate) struct Table {
    file: File,
}

impl Table {
    /// Opens the file to go on in, or makes it with this first line.
    pub(crate) fn append(path: &Path, header: &str) -> io::Result<Self> {
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        if file.metadata()?.len() == 0 {
            file.write_all(format!("{header}\n").as_bytes())?;
        }
        Ok(Self { file })
    }

    /// Adds lines in one write.
    pub(crate) fn add<'a>(&mut self, rows: impl IntoIterator<Item = Vec<&'a str>>) -> io::Result<()> {
        let text: String = rows.into_iter().map(|fields| line(&fields)).collect();
        self.file.write_all(text.as_bytes())?;
        self.file.flush()
    }
}

/// One line, with its end.
pub(crate) fn line(fields: &[&str]) -> String {
    let fields: Vec<_> = fields.iter().map(|field| quoted(field)).collect();
    format!("{}\n", fields.join(","))
}

/// A field as RFC 4180 has it; a line break becomes a space, so that a line of the file is a row.
fn quoted(field: &str) -> String {
    let field = field.replace(['\r', '\n'], " ");
    if field.contains([',', '"']) || field.trim() != field {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

/// The fields of a line that [`line`] made.
pub(crate) fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut inside = false;
    let mut letters = line.trim_end_matches('\n').chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if inside && letters.peek() == Some(&'"') => {
                letters.next();
                push(&mut fields, '"');
            }
            '"' => inside = !inside,
            ',' if !inside => fields.push(String::new()),
            other => push(&mut fields, other),
        }
    }
    fields
}

fn push(fields: &mut [String], letter: char) {
    if let Some(field) = fields.last_mut() {
        field.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_quotes_gets_them() {
        assert_eq!(line(&["a", "1.5", "×"]), "a,1.5,×\n");
        assert_eq!(line(&["a,b", "say \"so\"", ""]), "\"a,b\",\"say \"\"so\"\"\",\n");
        assert_eq!(line(&["two\nlines", " room "]), "two lines,\" room \"\n");
    }

    #[test]
    fn fields_come_back() {
        for row in [["a", "b,c", ""], ["\"", "\"\"", ",\","], [" x", "", "y "]] {
            assert_eq!(fields(&line(&row)), row);
        }
    }

    #[test]
    fn a_file_is_continued_with_one_header() {
        let path = std::env::temp_dir().join(format!("braid-compare-table-{}.csv", std::process::id()));
        for row in ["1", "2"] {
            let mut table = Table::append(&path, "a,b").unwrap();
            table.add([vec![row, "x"]]).unwrap();
        }
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(text, "a,b\n1,x\n2,x\n");
    }
}
