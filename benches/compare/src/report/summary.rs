//! Medians over the rounds, and how far each engine is from the best one of the cell.
//!
//! 1. A polluted reading is left out where the same engine has a clean one of the same metric in the same cell; where it
//!    has none, the polluted ones are kept and the figure says so.
//! 2. A ratio of the tables is the median divided by the best median of the same cell and metric, never of another cell.
//! 3. An engine that was seen not to sync is never the best of a durable cell, and one that promises less in deferred cells is
//!    the best of none of those.

use braid_measure::Spread;

use crate::cell::Better;
use crate::engine::UNRANKED;

use super::format;
use super::ratio::Rival;
use super::read::{Input, Reading};

/// The engine that all this is about.
pub(super) const OURS: &str = "braid";

pub(super) const PEAK_MEMORY: &str = "peak memory";

#[derive(Debug)]
pub(super) struct Summary {
    /// Ours first, then by name. The number of an engine here is what figures call it by, and its colour.
    pub(super) engines: Vec<String>,
    /// In the order in which they were run.
    pub(super) groups: Vec<Group>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) cells: Vec<Cell>,
}

#[derive(Debug)]
pub(super) struct Cell {
    pub(super) name: String,
    /// The name without the threads: cells of a family are one line of a plot.
    pub(super) family: String,
    pub(super) threads: usize,
    pub(super) rounds: usize,
    /// The primary metrics first.
    pub(super) lines: Vec<Line>,
    pub(super) failed: Vec<Failed>,
}

/// One metric of a cell, with all engines.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) metric: String,
    pub(super) unit: String,
    pub(super) better: Better,
    pub(super) primary: bool,
    /// In the order of the engines; those without a reading are not there.
    pub(super) figures: Vec<Figure>,
}

#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub(super) engine: usize,
    pub(super) spread: Spread,
    /// What the spread is of, with the round of each.
    pub(super) rounds: Vec<(usize, f64)>,
    /// How many readings the spread is of.
    pub(super) kept: usize,
    /// How many polluted ones are not in it.
    pub(super) left_out: usize,
    /// Nothing but polluted ones were there.
    pub(super) polluted: bool,
    /// The cell is durable, and the engine does not sync; or it promises less than the others.
    pub(super) struck: bool,
    /// To the best; `None` where there is no better and worse, or the best is nothing.
    pub(super) ratio: Option<f64>,
    pub(super) best: bool,
}

/// What an engine did not do.
#[derive(Debug)]
pub(super) struct Failed {
    pub(super) engine: usize,
    pub(super) rounds: usize,
    pub(super) reason: String,
}

impl Summary {
    pub(super) fn of(input: &Input) -> Self {
        Self::with(input, Some(UNRANKED))
    }

    /// As if who promises less in deferred cells did not.
    pub(super) fn with_all_ranked(input: &Input) -> Self {
        Self::with(input, None)
    }

    fn with(input: &Input, unranked: Option<&str>) -> Self {
        let engines = engines(input);
        let mut groups: Vec<Group> = Vec::new();
        let readings = with_process(&input.readings);
        for reading in &readings {
            let name = &reading.group;
            if !groups.iter().any(|group| group.name == *name) {
                let of_group: Vec<_> = readings.iter().filter(|reading| reading.group == *name).collect();
                groups.push(Group { name: name.clone(), cells: cells(&of_group, &engines, input, unranked) });
            }
        }
        Self { engines, groups }
    }

    pub(super) fn cells(&self) -> impl Iterator<Item = &Cell> {
        self.groups.iter().flat_map(|group| &group.cells)
    }

    pub(super) fn name(&self, engine: usize) -> &str {
        self.engines.get(engine).map_or("?", String::as_str)
    }
}

impl Cell {
    pub(super) fn line(&self, metric: &str) -> Option<&Line> {
        self.lines.iter().find(|line| line.metric == metric)
    }

    pub(super) fn primaries(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.primary)
    }

    pub(super) fn failure(&self, engine: usize) -> Option<&Failed> {
        self.failed.iter().find(|failed| failed.engine == engine)
    }
}

impl Line {
    pub(super) fn figure(&self, engine: usize) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.engine == engine)
    }

    /// `commits, 1/s; more is better`.
    pub(super) fn described(&self) -> String {
        let named = format::named(&self.metric, &self.unit);
        match self.better {
            Better::More => format!("{named}; more is better"),
            Better::Less => format!("{named}; less is better"),
            Better::Neither => named,
        }
    }

    /// How many times better ours is than the best of the others, whichever way better is, and which that is.
    pub(super) fn lead(&self) -> Option<(f64, &Figure, &Figure)> {
        let ours = self.figure(0)?;
        let rival = self.best(|figure| figure.engine != 0)?;
        let fair = self.figures.iter().filter(|figure| !figure.struck && figure.engine != 0);
        let ratio = Rival::best_of(self.better, fair)?.ratio(self.better, ours)?.value;
        (ratio.is_finite() && ratio > 0.0).then_some((ratio, ours, rival))
    }

    /// The best one of those that may be: neither struck out, nor refused by `may`.
    pub(super) fn best(&self, may: impl Fn(&Figure) -> bool) -> Option<&Figure> {
        let fair = self.figures.iter().filter(|figure| !figure.struck && may(figure));
        let median = |figure: &&Figure| figure.spread.median;
        match self.better {
            Better::More => fair.max_by(|a, b| median(a).total_cmp(&median(b))),
            Better::Less => fair.min_by(|a, b| median(a).total_cmp(&median(b))),
            Better::Neither => None,
        }
    }
}

fn engines(input: &Input) -> Vec<String> {
    let measured = input.readings.iter().map(|reading| &reading.engine);
    let mut names: Vec<_> =
        measured.chain(input.failures.iter().map(|failed| &failed.engine)).cloned().collect();
    names.sort_by_key(|name| (name != OURS, name.clone()));
    names.dedup();
    names
}

/// What is said of a process as a whole, as more metrics of the cell that it did.
fn with_process(readings: &[Reading]) -> Vec<Reading> {
    let mut all = readings.to_vec();
    let mut seen = std::collections::HashSet::new();
    for reading in readings {
        if !seen.insert((reading.round, &reading.engine, &reading.cell)) {
            continue;
        }
        let mut add = |metric: &str, value: f64, unit: &str, better| {
            let (metric, unit) = (metric.to_owned(), unit.to_owned());
            all.push(Reading { metric, value, unit, better, primary: false, ..reading.clone() });
        };
        if let Some(bytes) = reading.peak_memory_bytes {
            add(PEAK_MEMORY, bytes as f64, "bytes", Better::Less);
        }
        if let Some(others) = reading.others {
            add("others", others * 100.0, "%", Better::Neither);
        }
    }
    all
}

fn cells(readings: &[&Reading], engines: &[String], input: &Input, unranked: Option<&str>) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    for first in readings {
        if cells.iter().any(|cell| cell.name == first.cell) {
            continue;
        }
        let of_cell: Vec<_> = readings.iter().copied().filter(|other| other.cell == first.cell).collect();
        let mut rounds: Vec<_> = of_cell.iter().map(|reading| reading.round).collect();
        rounds.sort_unstable();
        rounds.dedup();
        let family = first.cell.strip_suffix(&format!("-{}", first.threads)).unwrap_or(&first.cell);
        cells.push(Cell {
            name: first.cell.clone(),
            family: family.to_owned(),
            threads: first.threads,
            rounds: rounds.len(),
            lines: lines(&of_cell, engines, input, unranked),
            failed: failures(&first.cell, engines, input),
        });
    }
    // Families keep their order, and within them the threads grow.
    let order: Vec<_> = cells.iter().map(|cell| cell.family.clone()).collect();
    cells.sort_by_key(|cell| (order.iter().position(|family| *family == cell.family), cell.threads));
    cells
}

fn lines(readings: &[&Reading], engines: &[String], input: &Input, unranked: Option<&str>) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for first in readings {
        if lines.iter().any(|line| line.metric == first.metric) {
            continue;
        }
        let of_line: Vec<_> = readings.iter().copied().filter(|other| other.metric == first.metric).collect();
        let figures = engines.iter().enumerate().filter_map(|(number, name)| {
            let of_engine: Vec<_> = of_line.iter().copied().filter(|other| other.engine == *name).collect();
            let mut figure = figure(number, &of_engine)?;
            let durable = first.durability.eq_ignore_ascii_case("durable");
            let refuted = || input.syncs.iter().any(|syncs| syncs.engine == *name && syncs.is_refuted());
            figure.struck = if durable { refuted() } else { unranked == Some(name.as_str()) };
            Some(figure)
        });
        let mut line = Line {
            metric: first.metric.clone(),
            unit: first.unit.clone(),
            better: first.better,
            primary: first.primary,
            figures: figures.collect(),
        };
        rank(&mut line);
        lines.push(line);
    }
    lines.sort_by_key(|line| !line.primary);
    lines
}

fn figure(engine: usize, readings: &[&Reading]) -> Option<Figure> {
    let polluted = readings.iter().all(|reading| reading.polluted);
    let kept = readings.iter().filter(|reading| polluted || !reading.polluted);
    let rounds: Vec<_> = kept.map(|reading| (reading.round, reading.value)).collect();
    let values: Vec<_> = rounds.iter().map(|&(_, value)| value).collect();
    Some(Figure {
        engine,
        spread: Spread::of(&values)?,
        rounds,
        kept: values.len(),
        left_out: readings.len() - values.len(),
        polluted,
        struck: false,
        ratio: None,
        best: false,
    })
}

fn rank(line: &mut Line) {
    let Some(best) = line.best(|_| true).map(|figure| figure.spread.median) else { return };
    for figure in &mut line.figures {
        figure.best = !figure.struck && figure.spread.median == best;
        figure.ratio = (!figure.struck && best != 0.0).then_some(figure.spread.median / best);
    }
}

fn failures(cell: &str, engines: &[String], input: &Input) -> Vec<Failed> {
    let of_cell: Vec<_> = input.failures.iter().filter(|failed| failed.cell == cell).collect();
    let engines = engines.iter().enumerate().filter_map(|(engine, name)| {
        let of_engine: Vec<_> = of_cell.iter().filter(|failed| failed.engine == *name).collect();
        let reason = of_engine.first()?.reason.clone();
        Some(Failed { engine, rounds: of_engine.len(), reason })
    });
    engines.collect()
}
