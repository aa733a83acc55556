//! Numbers for people.

/// A number with three digits, or with all before the point in groups.
///
/// ```
/// use braid_measure::number;
///
/// assert_eq!(number(1.234), "1.23");
/// assert_eq!(number(1_234_567.8), "1,234,568");
/// ```
#[must_use]
pub fn number(value: f64) -> String {
    let size = value.abs();
    if size < 100.0 {
        let digits = if value == value.trunc() { 0 } else { 1 + usize::from(size < 10.0) };
        return format!("{value:.digits$}");
    }
    let whole = format!("{size:.0}");
    let mut text = String::from(if value < 0.0 { "-" } else { "" });
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (1.234, "1.23"),
            (12.34, "12.3"),
            (123.4, "123"),
            (1_234_567.0, "1,234,567"),
            (-123.4, "-123"),
            (-123_456.0, "-123,456"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
