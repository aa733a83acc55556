//! From values to places.

/// Values that span more than this are shown on a scale of ratios.
const WIDE: f64 = 30.0;

/// A range of values with round ends, laid over a range of places.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    log: bool,
    from: f64,
    to: f64,
    places: (f64, f64),
}

impl Scale {
    /// For values of at least nothing. From nothing on, or by ratios where they span too much for that.
    pub(super) fn fit(values: &[f64], places: (f64, f64)) -> Self {
        let positive = values.iter().copied().filter(|value| *value > 0.0);
        let (least, most) =
            positive.fold((f64::INFINITY, 0.0_f64), |(a, b), value| (a.min(value), b.max(value)));
        if most == 0.0 {
            return Self { log: false, from: 0.0, to: 1.0, places };
        }
        if most / least > WIDE {
            return Self::log_from(least, most, places);
        }
        let step = step(most);
        Self { log: false, from: 0.0, to: (most / step - 1e-9).ceil() * step, places }
    }

    /// By ratios, however little they span.
    pub(super) fn fit_log(values: &[f64], places: (f64, f64)) -> Self {
        let positive = values.iter().copied().filter(|value| *value > 0.0);
        let (least, most) =
            positive.fold((f64::INFINITY, 0.0_f64), |(a, b), value| (a.min(value), b.max(value)));
        if most == 0.0 { Self::log_from(1.0, 10.0, places) } else { Self::log_from(least, most, places) }
    }

    fn log_from(least: f64, most: f64, places: (f64, f64)) -> Self {
        let from = nice(least, |candidate| candidate <= least * (1.0 + 1e-9), true);
        let mut to = nice(most, |candidate| candidate >= most * (1.0 - 1e-9), false);
        if to <= from {
            to = from * 10.0;
        }
        Self { log: true, from, to, places }
    }

    pub(super) fn is_log(&self) -> bool {
        self.log
    }

    /// What is outside is put at the end.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.log {
            (value.max(self.from) / self.from).ln() / (self.to / self.from).ln()
        } else {
            (value - self.from) / (self.to - self.from)
        };
        let (first, last) = self.places;
        first + share.clamp(0.0, 1.0) * (last - first)
    }

    /// For values on both sides of 1.
    pub(super) fn around_one(values: &[f64], places: (f64, f64)) -> Self {
        Self::fit_log(&[values, &[0.8, 1.25]].concat(), places)
    }

    /// Round values, far enough from each other to be named.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if self.log { self.log_ticks() } else { self.even_ticks() }
    }

    fn even_ticks(&self) -> Vec<f64> {
        let step = step(self.to);
        let count = (self.to / step).round() as u32;
        (0..=count).map(|tick| f64::from(tick) * step).collect()
    }

    fn log_ticks(&self) -> Vec<f64> {
        let decades = (self.to / self.from).log10();
        let (first, last) = (self.from.log10().floor() as i32, self.to.log10().ceil() as i32);
        let (factors, every): (&[f64], i32) = match decades {
            decades if decades <= 2.3 => (&[1.0, 2.0, 5.0], 1),
            decades if decades <= 4.0 => (&[1.0, 3.0], 1),
            decades if decades <= 7.0 => (&[1.0], 1),
            _ => (&[1.0], 2),
        };
        let powers = (first..=last).filter(|power| power.rem_euclid(every) == 0);
        let all = powers.flat_map(|power| factors.iter().map(move |factor| factor * 10_f64.powi(power)));
        all.filter(|tick| *tick >= self.from * 0.999 && *tick <= self.to * 1.001).collect()
    }
}

/// 1, 2 or 5 times a power of ten: about five of them are `most`.
fn step(most: f64) -> f64 {
    let rough = most / 5.0;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0);
    factor * power
}

/// The last (or the first) of the round values near `value` that `fits`.
fn nice(value: f64, fits: impl Fn(f64) -> bool, last: bool) -> f64 {
    let power = value.log10().floor() as i32;
    let all =
        (power - 1..=power + 1).flat_map(|power| [1.0, 2.0, 5.0].map(|factor| factor * 10_f64.powi(power)));
    let mut fitting = all.filter(|candidate| fits(*candidate));
    let found = if last { fitting.last() } else { fitting.next() };
    found.unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_values_begin_at_nothing() {
        let scale = Scale::fit(&[40.0, 93.0], (0.0, 100.0));
        assert!(!scale.is_log());
        assert_eq!(scale.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!([0.0, 50.0, 100.0, 200.0].map(|value| scale.at(value)), [0.0, 50.0, 100.0, 100.0]);
    }

    #[test]
    fn wide_values_are_shown_by_ratios() {
        let scale = Scale::fit(&[33.0, 200_000.0], (300.0, 0.0));
        assert!(scale.is_log());
        assert_eq!(scale.ticks(), [30.0, 100.0, 300.0, 1_000.0, 3_000.0, 10_000.0, 30_000.0, 100_000.0]);
        assert!(scale.at(33.0) < 300.0 && scale.at(20.0) == 300.0 && scale.at(200_000.0) == 0.0);
        let halves = [scale.at(100.0) - scale.at(1_000.0), scale.at(1_000.0) - scale.at(10_000.0)];
        assert!((halves[0] - halves[1]).abs() < 1e-9);
    }

    #[test]
    fn nothing_has_a_scale_too() {
        assert!(Scale::fit(&[], (0.0, 1.0)).at(0.0).is_finite());
        assert!(Scale::fit(&[0.0], (0.0, 1.0)).at(0.0).is_finite());
        assert!(Scale::fit_log(&[0.0], (0.0, 1.0)).at(0.0).is_finite());
        assert!(Scale::fit_log(&[10.0], (0.0, 1.0)).at(10.0).is_finite());
    }
}
