//! Tables and dates for people.

/// Columns side by side, as wide as their widest field; the last one is not padded.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|field| field.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in rows {
        for (column, field) in row.iter().enumerate() {
            text.push_str(field);
            if column + 1 < row.len() {
                text.extend(std::iter::repeat_n(' ', width(column) + 2 - field.chars().count()));
            }
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

/// `2026-01-31 23:59 UTC` of the seconds since 1970.
pub(crate) fn date(seconds: u64) -> String {
    // Years begin in March here, so that the leap day is a year's last (Hinnant, "chrono-compatible low-level date
    // algorithms").
    let days = seconds / 86_400 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = if month < 10 {
        (era * 400 + year_of_era, month + 3)
    } else {
        (era * 400 + year_of_era + 1, month - 9)
    };
    let (hour, minute) = (seconds / 3600 % 24, seconds / 60 % 60);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [
            vec!["a".to_owned(), "µµµ".to_owned(), "x".to_owned()],
            vec!["bb".to_owned(), String::new(), String::new()],
        ];
        assert_eq!(table(&rows), "a   µµµ  x\nbb\n");
    }

    #[test]
    fn dates_are_of_the_calendar() {
        for (seconds, text) in [
            (0, "1970-01-01 00:00 UTC"),
            (951_782_399, "2000-02-28 23:59 UTC"),
            (951_782_400, "2000-02-29 00:00 UTC"),
            (1_893_456_000, "2030-01-01 00:00 UTC"),
        ] {
            assert_eq!(date(seconds), text);
        }
    }
}
