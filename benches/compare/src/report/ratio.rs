//! How many times better ours is, whichever way better is: 2 is twice the rate, or half the time.
//!
//! A machine and its disk are another from one round to the next, so ratios are made within each round, against whoever is the
//! best of that round. A rival that was in no round with ours has its median alone to be held against; where that is worse for
//! ours, it counts.

use braid_measure::Spread;

use crate::cell::Better;

use super::summary::Figure;

/// What ours is held against.
#[derive(Debug, Default)]
pub(super) struct Rival {
    pub(super) median: f64,
    /// Empty for a number that is wanted.
    rounds: Vec<(usize, f64)>,
    /// Of each one that is in it: the median, and its rounds.
    of: Vec<(f64, Vec<usize>)>,
}

/// A ratio, and of what.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ratio {
    pub(super) value: f64,
    /// The least and the most of the rounds, where there are several.
    pub(super) rounds: Option<(f64, f64)>,
}

impl Rival {
    /// A number.
    pub(super) fn number(value: f64) -> Self {
        Self { median: value, ..Self::default() }
    }

    /// A figure, or a part of it.
    pub(super) fn figure(figure: &Figure, factor: f64) -> Self {
        let rounds = figure.rounds.iter().map(|&(round, value)| (round, value * factor)).collect();
        Self { median: figure.spread.median * factor, rounds, of: Vec::new() }
    }

    /// The best of some in each round; its median is the best of theirs.
    pub(super) fn best_of<'a>(better: Better, figures: impl Iterator<Item = &'a Figure>) -> Option<Self> {
        let mut best: Option<Self> = None;
        for figure in figures {
            let median = figure.spread.median;
            let rival = best.get_or_insert_with(|| Self::number(median));
            rival.median = better_of(better, rival.median, median);
            rival.of.push((median, figure.rounds.iter().map(|(round, _)| *round).collect()));
            for &(round, value) in &figure.rounds {
                match rival.rounds.iter_mut().find(|(other, _)| *other == round) {
                    Some((_, held)) => *held = better_of(better, *held, value),
                    None => rival.rounds.push((round, value)),
                }
            }
        }
        best
    }

    /// `None` where there is no better.
    pub(super) fn ratio(&self, better: Better, ours: &Figure) -> Option<Ratio> {
        let of_medians = |their| times(better, ours.spread.median, their);
        let value = |round| self.rounds.iter().find(|(other, _)| *other == round).map(|(_, value)| *value);
        let within: Vec<_> =
            ours.rounds.iter().filter_map(|&(round, our)| times(better, our, value(round)?)).collect();
        let Some(spread) = Spread::of(&within) else {
            return Some(Ratio { value: of_medians(self.median)?, rounds: None });
        };
        let is_ours = |round: &usize| ours.rounds.iter().any(|(other, _)| other == round);
        let strangers = self.of.iter().filter(|(_, rounds)| !rounds.iter().any(is_ours));
        let value = strangers.filter_map(|(median, _)| of_medians(*median)).fold(spread.median, f64::min);
        Some(Ratio { value, rounds: (within.len() > 1).then_some((spread.least, spread.most)) })
    }
}

fn better_of(better: Better, a: f64, b: f64) -> f64 {
    if better == Better::Less { a.min(b) } else { a.max(b) }
}

fn times(better: Better, our: f64, their: f64) -> Option<f64> {
    let ratio = match better {
        Better::More => our / their,
        Better::Less => their / our,
        Better::Neither => return None,
    };
    // 0 ÷ 0: nothing is as good as nothing.
    Some(if ratio.is_nan() { 1.0 } else { ratio })
}
