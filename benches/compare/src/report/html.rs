//! The report as one page: style and plots are in it, and nothing is fetched or run.

use std::fmt::Write as _;

use super::document::{Block, Entry, Look, Table};
use super::svg::{STYLE, escape};

const PAGE_STYLE: &str = "\
:root{color-scheme:light dark;--text:#1f242a;--dull:#68717c;--page:#f6f7f8;--sheet:#fff;--rule:#e2e5e9;--ours:#c23f0c;--met:#1d7a46;--missed:#b3261e}
@media (prefers-color-scheme:dark){:root{--text:#d9dee4;--dull:#96a0ab;--page:#0e1115;--sheet:#15191e;--rule:#2a3038;--ours:#ff7a3d;--met:#5fcf8f;--missed:#ff8a80}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue','DejaVu Sans',sans-serif}
main{max-width:1120px;margin:0 auto;padding:24px 16px 64px}
h1{font-size:26px;line-height:1.2;margin:8px 0 16px}
h2{font-size:20px;margin:44px 0 10px;padding-top:12px;border-top:1px solid var(--rule)}
h3{font-size:16px;margin:28px 0 8px}
h4{font-size:14px;margin:22px 0 6px}
p,ul{max-width:78ch}
nav{display:flex;flex-wrap:wrap;gap:6px 14px;margin:0 0 20px;font-size:13.5px}
a{color:inherit;text-decoration-color:var(--ours);text-underline-offset:3px}
.scroll{overflow-x:auto;margin:12px 0;background:var(--sheet);border:1px solid var(--rule);border-radius:6px}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:6px 10px;text-align:right;white-space:nowrap;border-bottom:1px solid var(--rule)}
tr:last-child td{border-bottom:0}
th{font-weight:600;color:var(--dull)}
th:first-child,td:first-child{text-align:left;position:sticky;left:0;background:var(--sheet)}
table.words th,table.words td{text-align:left;vertical-align:top;white-space:normal}
table.words{min-width:780px}
table.words td:first-child,table.words th:first-child{position:static}
table.words td{min-width:6em}
th.ours{color:var(--ours)}
small{color:var(--dull);font-weight:400;font-size:11.5px;margin-left:.35em}
.muted{color:var(--dull)}
.met{color:var(--met);font-weight:600}
.missed{color:var(--missed);font-weight:600}
.plot{overflow-x:auto;margin:14px 0;border:1px solid var(--rule);border-radius:6px;background:var(--sheet)}
.plot svg{display:block;width:100%;min-width:600px;height:auto;margin:0 auto}
details{margin:12px 0}
summary{cursor:pointer;font-weight:600;padding:4px 0}
";

pub(super) fn write(title: &str, blocks: &[Block]) -> String {
    let mut body = String::new();
    for block in blocks {
        one(&mut body, block);
        if matches!(block, Block::Heading { level: 1, .. }) {
            navigation(&mut body, blocks);
        }
    }
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>{}</title>\n\
         <style>\n{PAGE_STYLE}{STYLE}</style>\n</head>\n<body>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

fn navigation(out: &mut String, blocks: &[Block]) {
    out.push_str("<nav>\n");
    for block in blocks {
        if let Block::Heading { level: 2, text } = block {
            let _ = writeln!(out, "<a href=\"#{}\">{}</a>", anchor(text), escape(text));
        }
    }
    out.push_str("</nav>\n");
}

/// Writing to a string does not fail: its results are dropped.
fn one(out: &mut String, block: &Block) {
    match block {
        Block::Heading { level, text } => {
            let _ = writeln!(out, "<h{level} id=\"{}\">{}</h{level}>", anchor(text), escape(text));
        }
        Block::Text(text) => {
            let _ = writeln!(out, "<p>{}</p>", escape(text));
        }
        Block::List(items) => {
            let items: String = items.iter().map(|item| format!("<li>{}</li>\n", escape(item))).collect();
            let _ = writeln!(out, "<ul>\n{items}</ul>");
        }
        Block::Table(table) => self::table(out, table),
        Block::Details { summary, blocks } => {
            let _ = writeln!(out, "<details>\n<summary>{}</summary>", escape(summary));
            for block in blocks {
                one(out, block);
            }
            out.push_str("</details>\n");
        }
        Block::Plot(plot) => {
            let _ = writeln!(out, "<div class=\"plot\">\n{}</div>", plot.paper.to_inline());
        }
    }
}

fn table(out: &mut String, table: &Table) {
    let class = if table.words { " class=\"words\"" } else { "" };
    let _ = write!(out, "<div class=\"scroll\"><table{class}>\n<tr>");
    for name in &table.head {
        let class = if name == super::summary::OURS { " class=\"ours\"" } else { "" };
        let _ = write!(out, "<th{class}>{}</th>", escape(name));
    }
    out.push_str("</tr>\n");
    for row in &table.rows {
        let row: String = row.iter().map(entry).collect();
        let _ = writeln!(out, "<tr>{row}</tr>");
    }
    out.push_str("</table></div>\n");
}

fn entry(entry: &Entry) -> String {
    let text = escape(&entry.text);
    let note =
        if entry.note.is_empty() { String::new() } else { format!("<small>{}</small>", escape(&entry.note)) };
    match entry.look {
        Look::Plain => format!("<td>{text}{note}</td>"),
        Look::Best => format!("<td><b>{text}</b>{note}</td>"),
        Look::Struck => format!("<td class=\"muted\"><s>{text}</s>{note}</td>"),
        Look::Muted => format!("<td class=\"muted\">{text}{note}</td>"),
        Look::Met => format!("<td class=\"met\">{text}{note}</td>"),
        Look::Missed => format!("<td class=\"missed\">{text}{note}</td>"),
    }
}

fn anchor(text: &str) -> String {
    text.chars()
        .map(|letter| if letter.is_alphanumeric() { letter.to_ascii_lowercase() } else { '-' })
        .collect()
}
