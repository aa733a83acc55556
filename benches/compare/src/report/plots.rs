//! Which plots there are: threads against the primary metric for each family of cells that has several numbers of threads,
//! bars for the cells of a group that have no such family, and the percentiles of the latencies of one cell of each family.

use crate::cell::Better;

use super::document::Plot;
use super::summary::{Cell, Figure, Group, Line, OURS, Summary};
use super::svg::{Bar, BarChart, Lead, LeadChart, LineChart, Panel, Point, Series, Stop};

/// Latencies are shown for about so many threads.
const BUSY: usize = 8;

const PERCENTILES: [&str; 4] = ["p50", "p99", "p99.9", "max"];

/// All cells at one look; `None` where there is nobody to compare with.
pub(super) fn lead(summary: &Summary) -> Option<Plot> {
    let mut leads = Vec::new();
    for group in &summary.groups {
        for cell in &group.cells {
            let several = cell.primaries().count() > 1;
            leads.extend(cell.primaries().filter_map(|line| {
                let (ratio, ours, rival) = line.lead()?;
                Some(Lead {
                    group: group.name.clone(),
                    cell: if several { format!("{}, {}", cell.name, line.metric) } else { cell.name.clone() },
                    ratio,
                    rival: summary.name(rival.engine).to_owned(),
                    hollow: ours.polluted || rival.polluted,
                })
            }));
        }
    }
    if leads.is_empty() {
        return None;
    }
    let title = format!("How many times better {OURS} is than the best of its rivals");
    let note = "cell by cell, in the metric that ranks; the rival is named at the right; hollow: polluted";
    let chart = LeadChart { title: title.clone(), note: note.to_owned(), leads };
    Some(Plot { file: "overview.svg".to_owned(), alt: title, paper: chart.draw() })
}

/// What is shown of a group at first sight.
pub(super) fn throughput(summary: &Summary, group: &Group) -> Vec<Plot> {
    let mut plots = Vec::new();
    let mut panels = Vec::new();
    for family in families(group) {
        let metrics = metrics(&family);
        let one_metric = metrics.len() == 1;
        for metric in metrics {
            let lines: Vec<_> = family
                .iter()
                .filter_map(|cell| Some((*cell, cell.line(metric).filter(|line| line.primary)?)))
                .collect();
            if lines.len() > 1 {
                let name = &family[0].family;
                let file =
                    if one_metric { format!("{name}-threads") } else { format!("{name}-{metric}-threads") };
                plots.push(threads(summary, &file, &lines));
            } else {
                panels.extend(lines.iter().map(|(cell, line)| panel(summary, cell, line)));
            }
        }
    }
    if !panels.is_empty() {
        let title = group.name.clone();
        let alt = format!("{title}: bars of every engine");
        let note =
            "medians, with the least and the most; bars without filling: polluted readings, or not ranked";
        let chart = BarChart { title, note: note.to_owned(), panels };
        plots.push(Plot { file: file_name(&format!("{}-bars", group.name)), alt, paper: chart.draw() });
    }
    plots
}

/// The percentiles of the latencies, by family.
pub(super) fn latencies(summary: &Summary, group: &Group) -> Vec<Plot> {
    let mut plots = Vec::new();
    for family in families(group) {
        let with_latencies = family.iter().filter(|cell| !prefixes(cell).is_empty());
        let Some(cell) = with_latencies.min_by_key(|cell| cell.threads.abs_diff(BUSY)) else { continue };
        for prefix in prefixes(cell) {
            plots.push(percentiles(summary, cell, prefix));
        }
    }
    plots
}

/// The cells of a group by family, in order.
fn families(group: &Group) -> Vec<Vec<&Cell>> {
    let mut families: Vec<Vec<&Cell>> = Vec::new();
    for cell in &group.cells {
        match families.iter_mut().find(|family| family[0].family == cell.family) {
            Some(family) => family.push(cell),
            None => families.push(vec![cell]),
        }
    }
    families
}

/// The primary metrics of a family.
fn metrics<'a>(family: &[&'a Cell]) -> Vec<&'a str> {
    let mut metrics = Vec::new();
    for line in family.iter().flat_map(|cell| cell.primaries()) {
        if !metrics.contains(&line.metric.as_str()) {
            metrics.push(line.metric.as_str());
        }
    }
    metrics
}

/// `latency ` of `latency p50`: what has all percentiles.
fn prefixes(cell: &Cell) -> Vec<&str> {
    let prefixes = cell.lines.iter().filter_map(|line| line.metric.strip_suffix(PERCENTILES[0]));
    prefixes
        .filter(|prefix| PERCENTILES.iter().all(|of| cell.line(&format!("{prefix}{of}")).is_some()))
        .collect()
}

fn threads(summary: &Summary, file: &str, lines: &[(&Cell, &Line)]) -> Plot {
    let (first, line) = lines[0];
    let logs: Vec<_> = lines.iter().map(|(cell, _)| (cell.threads.max(1) as f64).log2()).collect();
    let (from, to) = (logs[0], logs[logs.len() - 1]);
    let stops = lines.iter().zip(&logs).map(|((cell, _), log)| Stop {
        text: cell.threads.to_string(),
        place: if to > from { (log - from) / (to - from) } else { 0.5 },
    });
    let series = each_engine(summary, |engine| {
        let figures =
            lines.iter().enumerate().filter_map(|(stop, (_, line))| Some((stop, line.figure(engine)?)));
        figures.collect()
    });
    let title = format!("{}: {}", first.family, line.metric);
    let chart = LineChart {
        note: format!("{}; {}", line.described(), spread_note(lines.iter().map(|(cell, _)| cell.rounds))),
        title: title.clone(),
        bottom: "threads".to_owned(),
        unit: line.unit.clone(),
        stops: stops.collect(),
        absent: absent(summary, first, &series),
        series,
        log: false,
    };
    Plot { file: file_name(file), alt: format!("{title} by threads"), paper: chart.draw() }
}

fn percentiles(summary: &Summary, cell: &Cell, prefix: &str) -> Plot {
    let lines: Vec<_> = PERCENTILES.iter().filter_map(|of| cell.line(&format!("{prefix}{of}"))).collect();
    let stops = PERCENTILES.iter().enumerate().map(|(number, of)| Stop {
        text: (*of).to_owned(),
        place: number as f64 / (PERCENTILES.len() - 1) as f64,
    });
    let series = each_engine(summary, |engine| {
        lines.iter().enumerate().filter_map(|(stop, line)| Some((stop, line.figure(engine)?))).collect()
    });
    let what = prefix.trim();
    let title = format!("{}: {what}", cell.name);
    let chart = LineChart {
        note: format!("less is better; scale of ratios; {}", spread_note(std::iter::once(cell.rounds))),
        title: title.clone(),
        bottom: "percentile".to_owned(),
        unit: lines.first().map_or(String::new(), |line| line.unit.clone()),
        stops: stops.collect(),
        absent: absent(summary, cell, &series),
        series,
        log: true,
    };
    let file = if what == "latency" { cell.family.clone() } else { format!("{}-{what}", cell.family) };
    let file = file_name(&format!("{file}-latency"));
    Plot { file, alt: format!("{title}, percentiles"), paper: chart.draw() }
}

fn panel(summary: &Summary, cell: &Cell, line: &Line) -> Panel {
    let mut figures: Vec<&Figure> = line.figures.iter().collect();
    figures.sort_by(|a, b| {
        let order = a.spread.median.total_cmp(&b.spread.median);
        if line.better == Better::More { order.reverse() } else { order }
    });
    let bars = figures.into_iter().map(|figure| Bar {
        engine: figure.engine,
        name: summary.name(figure.engine).to_owned(),
        spread: figure.spread,
        struck: figure.struck,
        hollow: figure.polluted,
    });
    let absent = cell.failed.iter().filter(|failed| line.figure(failed.engine).is_none());
    Panel {
        title: cell.name.clone(),
        note: line.described(),
        unit: line.unit.clone(),
        bars: bars.collect(),
        absent: absent.map(|failed| (summary.name(failed.engine).to_owned(), "failed".to_owned())).collect(),
    }
}

fn each_engine<'a>(summary: &Summary, figures: impl Fn(usize) -> Vec<(usize, &'a Figure)>) -> Vec<Series> {
    let series = summary.engines.iter().enumerate().map(|(engine, name)| {
        let figures = figures(engine);
        Series {
            engine,
            name: name.clone(),
            struck: figures.iter().any(|(_, figure)| figure.struck),
            points: figures
                .iter()
                .map(|(stop, figure)| Point { stop: *stop, spread: figure.spread, hollow: figure.polluted })
                .collect(),
        }
    });
    series.filter(|series| !series.points.is_empty()).collect()
}

/// Who was to be there and is not.
fn absent(summary: &Summary, cell: &Cell, series: &[Series]) -> String {
    let failed = cell.failed.iter().map(|failed| failed.engine);
    let absent = failed.filter(|engine| series.iter().all(|series| series.engine != *engine));
    let names: Vec<_> = absent.map(|engine| summary.name(engine)).collect();
    if names.is_empty() { String::new() } else { format!("Failed: {}", names.join(", ")) }
}

fn spread_note(rounds: impl Iterator<Item = usize>) -> String {
    match rounds.max().unwrap_or(0) {
        0 | 1 => "one round".to_owned(),
        rounds => {
            format!("medians of up to {rounds} rounds, whiskers from the least to the most; hollow: polluted")
        }
    }
}

fn file_name(name: &str) -> String {
    let letters = name
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || ".-".contains(letter) { letter } else { '-' });
    format!("{}.svg", letters.collect::<String>().to_lowercase())
}
