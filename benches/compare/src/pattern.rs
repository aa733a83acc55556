//! Names with stars: of cells, and of an engine's files.

/// `*` stands for any letters, or none.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((before, rest)) => name.strip_prefix(before).is_some_and(|name| {
            (0..=name.len()).filter_map(|start| name.get(start..)).any(|name| fits(rest, name))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_anything() {
        assert!(fits("bank-*", "bank-hot-durable-8") && fits("a*c*-8", "abcd-8") && fits("a*", "a"));
        assert!(!fits("bank-*", "reopen-1") && !fits("a*-8", "a-80") && !fits("a", "ab"));
    }
}
