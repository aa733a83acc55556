//! Whether the [targets](super::targets) are met.
//!
//! By the [ratio](super::ratio) to the best of each round, or to what else is wanted. A rival that
//! does not sync is no measure in a durable cell. A target that cannot be judged says what was not there.

use crate::cell::{Better, metrics};
use crate::pattern::fits;

use super::format;
use super::ratio::{Ratio, Rival};
use super::summary::{Cell, Figure, Line, Summary};
use super::targets::{Against, BUSY, Metric, Target};

/// The engine with the number 0.
const OURS: usize = 0;

#[derive(Debug)]
pub(super) struct Verdict {
    pub(super) aim: &'static str,
    /// The cell, or where there is none what it would be called.
    pub(super) cell: String,
    pub(super) metric: String,
    /// Our figure, as shown.
    pub(super) ours: String,
    /// What it is held against, as shown.
    pub(super) against: String,
    pub(super) wanted: f64,
    pub(super) outcome: Outcome,
    /// The least and the most ratio of a round.
    pub(super) rounds: Option<(f64, f64)>,
    /// A figure on either side is of polluted readings only.
    pub(super) polluted: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Met {
        ratio: f64,
    },
    Missed {
        ratio: f64,
    },
    /// Some rounds meet it and some miss it.
    Undecided {
        ratio: f64,
    },
    /// The target is not of this cell, as it turned out. And why.
    DoesNotApply(String),
    /// Ours failed in the cell.
    Failed(String),
    /// And why.
    NotMeasured(&'static str),
}

/// One for each target and cell that fits, and one for each name that no cell fits.
pub(super) fn judge(targets: &[Target], summary: &Summary, machine: &[String]) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for target in targets {
        for pattern in target.cells {
            let cells = summary.cells().filter(|cell| fits(pattern, &cell.name));
            let before = verdicts.len();
            verdicts.extend(cells.map(|cell| one(target, cell, summary, machine)));
            if verdicts.len() == before {
                let missing = Outcome::NotMeasured("no such cell");
                verdicts.push(Verdict::new(target, (*pattern).to_owned(), missing));
            }
        }
    }
    verdicts
}

impl Verdict {
    fn new(target: &Target, cell: String, outcome: Outcome) -> Self {
        let metric = match target.metric {
            Metric::Primary => "",
            Metric::Named(names) => names.first().copied().unwrap_or_default(),
        };
        Self {
            aim: target.aim,
            cell,
            metric: metric.to_owned(),
            ours: String::new(),
            against: String::new(),
            wanted: target.wanted,
            outcome,
            rounds: None,
            polluted: false,
        }
    }
}

fn one(target: &Target, cell: &Cell, summary: &Summary, machine: &[String]) -> Verdict {
    let mut verdict = Verdict::new(target, cell.name.clone(), Outcome::NotMeasured("no such metric"));
    let line = match target.metric {
        Metric::Primary => cell.primaries().next(),
        Metric::Named(names) => first_of(cell, names),
    };
    let ours = line.and_then(|line| Some((line, line.figure(OURS)?)));
    let Some((line, ours)) = ours.filter(|_| summary.name(OURS) == super::summary::OURS) else {
        if let Some(failed) = cell.failure(OURS) {
            verdict.outcome = Outcome::Failed(failed.reason.clone());
        }
        return verdict;
    };
    verdict.metric.clone_from(&line.metric);
    verdict.ours = format::value(ours.spread.median, &line.unit);
    verdict.polluted = ours.polluted;
    let without = without(target.against, cell, line, summary);
    let Some(measure) = measure(target.against, cell, line, summary, machine) else {
        verdict.outcome = Outcome::NotMeasured("nothing to hold it against");
        verdict.against = without;
        return verdict;
    };
    verdict.against.clone_from(&measure.shown);
    if !without.is_empty() {
        verdict.against = format!("{}; {without}", verdict.against);
    }
    if target.with_rest
        && let Some(outcome) = without_rest(cell)
    {
        verdict.outcome = outcome;
        return verdict;
    }
    verdict.polluted |= measure.polluted;
    let Some(Ratio { value: ratio, rounds }) = measure.rival.ratio(line.better, ours) else { return verdict };
    verdict.rounds = rounds;
    verdict.outcome = outcome(ratio, rounds, target.wanted);
    verdict
}

/// What is met in some rounds and missed in others is neither. A median that a rival of other rounds has made worse than all
/// rounds is a miss.
fn outcome(ratio: f64, rounds: Option<(f64, f64)>, wanted: f64) -> Outcome {
    match rounds {
        Some((least, most)) if least < wanted && wanted <= most && ratio >= least => {
            Outcome::Undecided { ratio }
        }
        _ if ratio >= wanted => Outcome::Met { ratio },
        _ => Outcome::Missed { ratio },
    }
}

/// What becomes of a target that is of cells only in which the processor rests, in one where it does not.
fn without_rest(cell: &Cell) -> Option<Outcome> {
    let Some(processor) = cell.line(metrics::PROCESSOR).and_then(|line| line.figure(OURS)) else {
        return Some(Outcome::NotMeasured("whether the processor was the limit"));
    };
    let share = processor.spread.median;
    let busy = || Outcome::DoesNotApply(format!("the processor is the limit: {:.0} % busy", share * 100.0));
    (share >= BUSY).then(busy)
}

/// What ours is held against.
struct Measure {
    rival: Rival,
    shown: String,
    polluted: bool,
}

fn measure(
    against: Against,
    cell: &Cell,
    line: &Line,
    summary: &Summary,
    machine: &[String],
) -> Option<Measure> {
    let number = |value: f64| Measure {
        rival: Rival::number(value),
        shown: format::value(value, &line.unit),
        polluted: false,
    };
    let best = |may: &dyn Fn(&Figure) -> bool| {
        let fair = |figure: &Figure| figure.engine != OURS && may(figure);
        let figure = line.best(fair)?;
        let shown =
            format!("{} {}", summary.name(figure.engine), format::value(figure.spread.median, &line.unit));
        let all = line.figures.iter().filter(|figure| !figure.struck && fair(figure));
        let rival = Rival::best_of(line.better, all)?;
        Some(Measure { rival, shown, polluted: figure.polluted })
    };
    let of_ours = |names: &[&str], factor: f64| {
        let other = first_of(cell, names)?;
        let measure = of_figure(other.figure(OURS)?, factor);
        Some(Measure { shown: format::value(measure.rival.median, &other.unit), ..measure })
    };
    let threads = cell.threads as f64;
    match against {
        Against::BestRival => best(&|_| true),
        Against::BestRivalIn(names) => {
            let cells: Vec<_> = summary.cells().filter(|cell| names.contains(&cell.name.as_str())).collect();
            let bests = cells.iter().filter_map(|cell| {
                let line = cell.primaries().next()?;
                Some((line.best(|figure| figure.engine != OURS)?, cell))
            });
            let value = |figure: &Figure| figure.spread.median;
            let by_value = |a: &(&Figure, _), b: &(&Figure, _)| value(a.0).total_cmp(&value(b.0));
            let (figure, cell) =
                if line.better == Better::Less { bests.min_by(by_value) } else { bests.max_by(by_value) }?;
            let shown = format::value(value(figure), &line.unit);
            let shown = format!("{} {shown} in {}", summary.name(figure.engine), cell.name);
            let lines = cells.iter().filter_map(|cell| cell.primaries().next());
            let fair = |figure: &&Figure| !figure.struck && figure.engine != OURS;
            let all = lines.flat_map(|line| line.figures.iter().filter(fair));
            let rival = Rival::best_of(line.better, all)?;
            Some(Measure { rival, shown, polluted: figure.polluted })
        }
        Against::BestOf(names) => best(&|figure| names.contains(&summary.name(figure.engine))),
        Against::BestWithAsMuch(metric, share) => {
            let other = cell.line(metric)?;
            let least = share * other.figure(OURS)?.spread.median;
            best(&|figure| has_as_much(other, figure.engine, least))
        }
        Against::Number(value) => Some(number(value)),
        Against::PerThread(value) => Some(number(value * threads)),
        Against::Ours(names, factor) => of_ours(names, factor),
        Against::OursIn(name, factor) => {
            let other = summary.cells().find(|other| other.name == name)?;
            let measure = of_figure(other.line(&line.metric)?.figure(OURS)?, factor);
            Some(Measure { shown: format::value(measure.rival.median, &line.unit), ..measure })
        }
        Against::OursPerThread(names, factor) => of_ours(names, factor * threads),
        Against::Cores { rows, micros } => Some(number(cores(machine)? * rows / micros * 1e6)),
    }
}

/// Who was not there to be held against, or was not let in, and why.
fn without(against: Against, cell: &Cell, line: &Line, summary: &Summary) -> String {
    let missing: Vec<_> = match against {
        Against::BestOf(names) => {
            let there = |name: &&str| line.figures.iter().any(|figure| summary.name(figure.engine) == *name);
            names.iter().filter(|name| !there(name)).map(|name| (*name).to_owned()).collect()
        }
        Against::BestWithAsMuch(metric, share) => {
            let Some((other, ours)) = cell.line(metric).and_then(|other| Some((other, other.figure(OURS)?)))
            else {
                return format!("{metric}: not measured");
            };
            let ours = ours.spread.median;
            let less = line
                .figures
                .iter()
                .filter(|figure| figure.engine != OURS && !has_as_much(other, figure.engine, share * ours));
            let why = |figure: &Figure| match other.figure(figure.engine) {
                None => format!("{metric}: not measured"),
                Some(figure) => {
                    let [theirs, ours] =
                        [figure.spread.median, ours].map(|value| format::value(value, &other.unit));
                    let unit = if format::shows_unit(&other.unit) { "" } else { &other.unit };
                    format!("{metric}: {theirs} of our {ours} {unit}").trim_end().to_owned()
                }
            };
            less.map(|figure| format!("{} ({})", summary.name(figure.engine), why(figure))).collect()
        }
        _ => Vec::new(),
    };
    if missing.is_empty() { String::new() } else { format!("without {}", missing.join(", ")) }
}

fn has_as_much(other: &Line, engine: usize, least: f64) -> bool {
    other.figure(engine).is_some_and(|figure| figure.spread.median >= least)
}

fn of_figure(figure: &Figure, factor: f64) -> Measure {
    Measure { rival: Rival::figure(figure, factor), shown: String::new(), polluted: figure.polluted }
}

fn first_of<'a>(cell: &'a Cell, names: &[&str]) -> Option<&'a Line> {
    names.iter().find_map(|name| cell.line(name))
}

/// Of the machine, by the words that describe it: `cores: 2`, or `…, 2 cores`.
fn cores(machine: &[String]) -> Option<f64> {
    machine.iter().find_map(|fact| {
        let number = match fact.strip_prefix("cores:") {
            Some(number) => number,
            None => fact.split_once(" core")?.0.rsplit(' ').next()?,
        };
        number.trim().parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_read_from_words() {
        assert_eq!(cores(&["memory: 1".into(), "processor: AMD EPYC, 2 cores".into()]), Some(2.0));
        assert_eq!(cores(&["processor: 4 GHz".into(), "cores: 16".into()]), Some(16.0));
        assert_eq!(cores(&["kernel".into()]), None);
    }
}
