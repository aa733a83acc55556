//! The command `list`.

use crate::cell::Cell;
use crate::engine::Kind;
use crate::runner::text::table;

pub(crate) fn listing(kinds: &[Kind], cells: &[Cell]) -> String {
    let mut engines = vec![words(&["engine", "version", "writers", "isolation", "durable"])];
    for Kind { name, version, facts, .. } in kinds {
        let durable = facts.durable.unwrap_or("never, left out of durable cells");
        engines.push(words(&[name, version, facts.writers, facts.isolation, durable]));
    }
    let mut rows = vec![words(&["cell", "short", "threads", "durability", "ranked by", "about"])];
    for cell in cells {
        let (threads, short) = (cell.threads.to_string(), if cell.short { "yes" } else { "" });
        let durability = cell.durability.name();
        rows.push(words(&[&cell.name, short, &threads, durability, cell.primary, cell.about]));
    }
    format!(
        "{}\n{}\n{} engines, {} cells, {} of them in the short form\n",
        table(&engines),
        table(&rows),
        kinds.len(),
        cells.len(),
        cells.iter().filter(|cell| cell.short).count()
    )
}

fn words(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|&field| field.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engines, workloads};

    #[test]
    fn every_engine_and_every_cell_has_a_line() {
        let text = listing(engines::ALL, &workloads::all());
        for kind in engines::ALL {
            assert!(text.lines().any(|line| line.starts_with(kind.name) && line.contains(kind.version)));
        }
        for cell in workloads::all() {
            assert!(text.lines().any(|line| line.starts_with(&cell.name) && line.ends_with(cell.about)));
        }
    }
}
