//! Ranges of seeds, as people type them.

use std::ops::Range;

/// Reads `17` as one seed and `0..1000` as all from the first to before the last.
///
/// # Errors
/// A sentence for the person who typed something else.
pub fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| format!("`{text}` is not a seed; give one number, or two as in 0..1000"))
    };
    let range = match text.split_once("..") {
        Some((from, to)) => number(from)?..number(to)?,
        None => {
            let seed = number(text)?;
            seed..seed.checked_add(1).ok_or("the largest seed cannot be run")?
        }
    };
    if range.is_empty() {
        Err(format!("`{text}` holds no seed; the end must be above the start"))
    } else {
        Ok(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_seed_and_ranges_are_read() {
        assert_eq!(parse_seeds("7"), Ok(7..8));
        assert_eq!(parse_seeds("0..1000"), Ok(0..1000));
        for wrong in ["", "x", "5..5", "9..2", "1..", "..4", "18446744073709551615"] {
            assert!(parse_seeds(wrong).is_err(), "{wrong}");
        }
    }
}
