//! What is run, and in which order.

use crate::cell::Cell;
use crate::engine::{Durability, Kind};

/// The engines of these names in the order of the tables, or all.
pub(crate) fn engines(all: &'static [Kind], names: &[String]) -> Result<Vec<Kind>, String> {
    for name in names {
        engine(all, name)?;
    }
    let chosen = |kind: &&Kind| names.is_empty() || names.iter().any(|name| name == kind.name);
    Ok(all.iter().filter(chosen).copied().collect())
}

/// The engine of a name.
pub(crate) fn engine(all: &'static [Kind], name: &str) -> Result<Kind, String> {
    all.iter().find(|kind| kind.name == name).copied().ok_or_else(|| {
        let nearest = nearest(name, all.iter().map(|kind| kind.name));
        format!("there is no engine `{name}` in this build{nearest}; `list` shows all, and the cargo feature of a rival builds it in")
    })
}

/// The cells whose names begin with one of these prefixes, or all; only the short form's if so wanted.
pub(crate) fn cells(all: Vec<Cell>, prefixes: &[String], short: bool) -> Result<Vec<Cell>, String> {
    for prefix in prefixes {
        if !all.iter().any(|cell| cell.name.starts_with(prefix.as_str())) {
            let nearest = nearest(prefix, all.iter().map(|cell| cell.name.as_str()));
            return Err(format!("no cell begins with `{prefix}`{nearest}; `list` shows all"));
        }
    }
    let chosen = |cell: &Cell| {
        let named =
            prefixes.is_empty() || prefixes.iter().any(|prefix| cell.name.starts_with(prefix.as_str()));
        named && (cell.short || !short)
    };
    let cells: Vec<_> = all.into_iter().filter(chosen).collect();
    if cells.is_empty() { Err("the short form has none of these cells".to_owned()) } else { Ok(cells) }
}

/// The cell of a name.
pub(crate) fn cell(all: Vec<Cell>, name: &str) -> Result<Cell, String> {
    let nearest = nearest(name, all.iter().map(|cell| cell.name.as_str()));
    let found = all.into_iter().find(|cell| cell.name == name);
    found.ok_or_else(|| format!("there is no cell `{name}`{nearest}; `list` shows all"))
}

/// `, did you mean …?` with the at most three names that are like this one.
fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    let mut near: Vec<_> = names
        .map(|other| (strsim::jaro_winkler(name, other), other))
        .filter(|(likeness, _)| *likeness > 0.75)
        .collect();
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    let near: Vec<_> = near.iter().take(3).map(|(_, other)| format!("`{other}`")).collect();
    if near.is_empty() { String::new() } else { format!(", did you mean {}?", near.join(" or ")) }
}

/// Whether the engine can do what the cell asks of it.
pub(crate) fn fits(kind: &Kind, cell: &Cell) -> bool {
    cell.durability != Durability::Durable || kind.facts.durable.is_some()
}

/// The items in the order of a turn: the first one moves on with each turn, so that none is always after the same pause.
pub(crate) fn rotated<T: Copy>(items: &[T], turn: usize) -> Vec<T> {
    let mut order = items.to_vec();
    if !order.is_empty() {
        order.rotate_left(turn % items.len());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engines, workloads};

    #[test]
    fn every_item_is_first_once() {
        assert_eq!(rotated(&[1, 2, 3], 0), [1, 2, 3]);
        assert_eq!(rotated(&[1, 2, 3], 1), [2, 3, 1]);
        assert_eq!(rotated(&[1, 2, 3], 5), [3, 1, 2]);
        assert!(rotated::<u8>(&[], 5).is_empty());
    }

    #[test]
    fn an_unknown_name_is_answered_with_near_ones() {
        let error = engine(engines::ALL, "brade").unwrap_err();
        assert!(error.contains("did you mean `braid`?"), "{error}");
        let error = cells(workloads::all(), &["comits".to_owned()], false).err().unwrap();
        assert!(error.contains("did you mean `commits-"), "{error}");
        let error = engine(engines::ALL, "zzz").unwrap_err();
        assert!(!error.contains("did you mean"), "{error}");
    }

    #[test]
    fn prefixes_and_the_short_form_choose() {
        let names = |prefixes: &[&str], short| -> Vec<String> {
            let prefixes: Vec<_> = prefixes.iter().map(|&prefix| prefix.to_owned()).collect();
            cells(workloads::all(), &prefixes, short).unwrap().into_iter().map(|cell| cell.name).collect()
        };
        let durable = names(&["commits-durable"], false);
        assert!(durable.len() > 2 && durable.iter().all(|name| name.starts_with("commits-durable")));
        let short = names(&["commits-durable"], true);
        assert!(!short.is_empty() && short.len() < durable.len());
    }

    #[test]
    fn engines_keep_the_order_of_the_tables() {
        assert_eq!(engines(engines::ALL, &[]).unwrap().len(), engines::ALL.len());
        assert_eq!(engines(engines::ALL, &["braid".to_owned()]).unwrap()[0].name, "braid");
    }
}
