//! Numbers as they are shown: three digits at most, and a unit that fits.

/// `0.0042`, `0.94`, `31.2`, `9.3k`, `606k`, `1.2M`.
pub(super) fn short(value: f64) -> String {
    let size = value.abs();
    let (scale, suffix) = match size {
        size if size >= 999.5e6 => (1e9, "G"),
        size if size >= 999.5e3 => (1e6, "M"),
        size if size >= 999.5 => (1e3, "k"),
        _ => (1.0, ""),
    };
    format!("{}{suffix}", digits(value / scale, if suffix.is_empty() { 2 } else { 1 }))
}

/// What stands behind a ×.
pub(super) fn times(ratio: f64) -> String {
    match ratio {
        ratio if ratio >= 999.5 => format!("×{}", short(ratio)),
        ratio if ratio >= 99.5 => format!("×{ratio:.0}"),
        ratio if ratio >= 9.95 => format!("×{ratio:.1}"),
        ratio if ratio >= 0.01 || ratio == 0.0 => format!("×{ratio:.2}"),
        _ => format!("×{}", digits(ratio, 2)),
    }
}

/// A value with its unit where the unit goes with the size (`71.8 ms`, `12.3 MiB`), and without it where the head of the
/// table or the axis tells it.
pub(super) fn value(value: f64, unit: &str) -> String {
    if let Some(nanos) = nanos_in(unit) {
        return scaled(value * nanos, &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")]);
    }
    if let Some(bytes) = bytes_in(unit) {
        let units = [(1.0, "B"), (1024.0, "KiB"), (1_048_576.0, "MiB"), (1_073_741_824.0, "GiB")];
        return scaled(value * bytes, &units);
    }
    short(value)
}

/// Whether [`value`] shows the unit.
pub(super) fn shows_unit(unit: &str) -> bool {
    nanos_in(unit).is_some() || bytes_in(unit).is_some()
}

/// Words for a head or an axis: `commits, 1/s`.
pub(super) fn named(metric: &str, unit: &str) -> String {
    if shows_unit(unit) || unit.is_empty() { metric.to_owned() } else { format!("{metric}, {unit}") }
}

fn nanos_in(unit: &str) -> Option<f64> {
    match unit {
        "ns" => Some(1.0),
        "µs" | "us" => Some(1e3),
        "ms" => Some(1e6),
        "s" => Some(1e9),
        _ => None,
    }
}

fn bytes_in(unit: &str) -> Option<f64> {
    match unit {
        "bytes" | "B" => Some(1.0),
        "KiB" => Some(1024.0),
        "MiB" => Some(1_048_576.0),
        "GiB" => Some(1_073_741_824.0),
        _ => None,
    }
}

/// In the largest unit of which there is one.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let fits = |(scale, _): &&(f64, &str)| value.abs() / scale >= 0.9995;
    let (scale, unit) = units.iter().rev().find(fits).or(units.first()).copied().unwrap_or((1.0, ""));
    format!("{} {unit}", digits(value / scale, 1))
}

/// So many decimals below 10, and never more than three digits unless the number is large.
fn digits(value: f64, decimals: usize) -> String {
    match value.abs() {
        size if size == size.trunc() && size < 1e4 => format!("{value:.0}"),
        size if size >= 99.95 => format!("{value:.0}"),
        size if size >= 9.995 => format!("{value:.1}"),
        size if size >= 0.01 => format!("{value:.*}", decimals.max(if size < 0.995 { 2 } else { 0 })),
        size => {
            let zeros = (-size.log10()).clamp(0.0, 12.0).ceil() as usize;
            format!("{value:.*}", zeros + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let shown = [
            0.0, 0.0042, 0.94, 7.0, 31.24, 999.4, 999.6, 9_312.0, 31_172.0, 606_400.0, 999_700.0, 1.24e6,
            28e6,
        ];
        let shown = shown.map(short);
        let expected = [
            "0", "0.0042", "0.94", "7", "31.2", "999", "1.0k", "9.3k", "31.2k", "606k", "1.0M", "1.2M", "28M",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn units_go_with_the_size() {
        assert_eq!(value(71_762.0, "µs"), "71.8 ms");
        assert_eq!(value(0.75, "µs"), "750 ns");
        assert_eq!(value(12_902_400.0, "bytes"), "12.3 MiB");
        assert_eq!(value(9_312.0, "1/s"), "9.3k");
        assert_eq!(named("commits", "1/s"), "commits, 1/s");
        assert_eq!(named("latency p50", "µs"), "latency p50");
    }

    #[test]
    fn ratios_have_two_decimals() {
        assert_eq!([1.0, 0.943, 12.34, 0.0042].map(times), ["×1.00", "×0.94", "×12.3", "×0.0042"]);
    }
}
