//! The report as markdown, which names the plots as files beside it.

use std::fmt::Write as _;

use super::document::{Block, Entry, Look, Table};

pub(super) fn write(blocks: &[Block]) -> String {
    let mut text = String::new();
    for block in blocks {
        one(&mut text, block);
    }
    text
}

/// Writing to a string does not fail: its results are dropped.
fn one(out: &mut String, block: &Block) {
    match block {
        Block::Heading { level, text } => {
            let _ = writeln!(out, "{} {}\n", "#".repeat(usize::from(*level)), escape(text));
        }
        Block::Text(text) => {
            let _ = writeln!(out, "{}\n", escape(text));
        }
        Block::List(items) => {
            for item in items {
                let _ = writeln!(out, "- {}", escape(item));
            }
            out.push('\n');
        }
        Block::Table(table) => self::table(out, table),
        Block::Details { summary, blocks } => {
            let _ = writeln!(out, "<details>\n<summary>{}</summary>\n", super::svg::escape(summary));
            for block in blocks {
                one(out, block);
            }
            let _ = writeln!(out, "</details>\n");
        }
        Block::Plot(plot) => {
            let _ = writeln!(out, "![{}]({})\n", escape(&plot.alt), plot.file);
        }
    }
}

fn table(out: &mut String, table: &Table) {
    let head: Vec<_> = table.head.iter().map(|name| escape(name)).collect();
    let _ = writeln!(out, "| {} |", head.join(" | "));
    let numbers = if table.words { "---|" } else { "--:|" };
    let _ = writeln!(out, "|---|{}", numbers.repeat(head.len().saturating_sub(1)));
    for row in &table.rows {
        let row: Vec<_> = row.iter().map(entry).collect();
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
    out.push('\n');
}

fn entry(entry: &Entry) -> String {
    let text = escape(&entry.text);
    let text = match entry.look {
        Look::Best | Look::Met | Look::Missed if !text.is_empty() => format!("**{text}**"),
        Look::Struck if !text.is_empty() => format!("~~{text}~~"),
        _ => text,
    };
    if entry.note.is_empty() { text } else { format!("{text} ({})", escape(&entry.note)) }
}

/// Nothing in a text is markup. The bar and the line feed would end a field of a table.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '*' | '_' | '`' | '|' | '[' | ']' | '<' | '>' | '~' => escaped.extend(['\\', letter]),
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_a_table() {
        let rows = vec![vec![Entry::plain("a|b\nc"), Entry::new("**", Look::Best).with_note("×1")]];
        let table = Table { head: vec!["x".into(), "y".into()], rows, words: false };
        assert_eq!(write(&[Block::Table(table)]), "| x | y |\n|---|--:|\n| a\\|b c | **\\*\\*** (×1) |\n\n");
    }
}
