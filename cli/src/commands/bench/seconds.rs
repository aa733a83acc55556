//! A duration on the command line.

use std::time::Duration;

/// The longest run: a day.
const MAX: f64 = 86_400.0;

/// Seconds, with a fraction if wanted.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= MAX => Ok(Duration::from_secs_f64(seconds)),
        _ => Err(format!("give a number of seconds above 0 and up to {MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn only_a_sensible_time_is_taken() {
        assert_eq!(parse("0.5").unwrap().as_millis(), 500);
        for bad in ["", "0", "-1", "NaN", "inf", "1e300", "ten"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
