//! The report from top to bottom.

use crate::cell::metrics;
use crate::engine::UNRANKED;

use super::document::{Block, Entry, Look, Table, heading};
use super::format;
use super::judge::{Outcome, Verdict, judge};
use super::plots;
use super::read::Input;
use super::summary::{Cell, Figure, Group, Line, OURS, Summary};
use super::targets::{BUSY, TARGETS};

pub(super) const TITLE: &str = "Braid beside its rivals";

pub(super) fn compose(input: &Input, summary: &Summary) -> Vec<Block> {
    let mut blocks = vec![heading(1, TITLE)];
    introduction(&mut blocks, input, summary);
    let verdicts = judge(TARGETS, summary, &input.machine);
    blocks.extend(plots::lead(summary).map(Block::Plot));
    let ranked = judge(TARGETS, &Summary::with_all_ranked(input), &input.machine);
    targets(&mut blocks, &verdicts, &ranked);
    for group in &summary.groups {
        self::group(&mut blocks, summary, group);
    }
    engines(&mut blocks, input);
    failures(&mut blocks, input);
    blocks
}

fn introduction(blocks: &mut Vec<Block>, input: &Input, summary: &Summary) {
    let most = summary.cells().map(|cell| cell.rounds).max().unwrap_or(0);
    blocks.push(Block::Text(format!(
        "Every engine does the same work at the same durability, in turns with the others, each cell in a process of its \
         own that checks what it did before it says how fast that was. Engines: {}; cells: {}; rounds: {most} at most. \
         Figures are medians of the rounds, with the least and the most in the details.",
        summary.engines.len(),
        summary.cells().count(),
    )));
    blocks.push(Block::List(vec![
        "Bold is the best of its line, and × is a figure divided by that best one: ×0.50 is half the rate, ×2.00 is twice \
         the time or the bytes. Figures are compared within a cell only."
            .to_owned(),
        "A reading is polluted when others used too much of the machine meanwhile. It is left out where the engine has a \
         clean one; ⚠ marks figures that have polluted ones only."
            .to_owned(),
        format!(
            "Struck out, and not ranked, is who promises less than the others: in a durable cell an engine that was seen to \
             acknowledge commits without a sync, in a deferred one {UNRANKED}, of which a power cut may leave nothing."
        ),
    ]));
    if !input.machine.is_empty() {
        blocks.push(Block::Text("The machine:".to_owned()));
        blocks.push(Block::List(input.machine.clone()));
    }
    if !input.repeated.is_empty() {
        let cells: Vec<_> = input.repeated.iter().cloned().collect();
        blocks.push(Block::Text(format!(
            "Measured in more than one run, with the rounds of all: {}.",
            cells.join(", ")
        )));
    }
}

/// What the verdicts would be, were nobody struck out for promising less.
fn if_ranked(ranked: &[Verdict], verdicts: &[Verdict]) -> String {
    let met = |verdict: &&Verdict| matches!(verdict.outcome, Outcome::Met { .. });
    let fewer: Vec<_> = verdicts
        .iter()
        .zip(ranked)
        .filter(|(as_is, ranked)| met(as_is) && !met(ranked))
        .filter_map(|(_, ranked)| match ranked.outcome {
            Outcome::Missed { ratio } | Outcome::Undecided { ratio } => {
                let [ratio, wanted] = [ratio, ranked.wanted].map(format::times);
                Some(format!("{} ({ratio} of {wanted})", ranked.cell))
            }
            _ => None,
        })
        .collect();
    if fewer.is_empty() {
        format!("Were {UNRANKED} ranked in deferred cells too, no target that is met would not be.")
    } else {
        format!("Were {UNRANKED} ranked in deferred cells too, these would not be met: {}.", fewer.join(", "))
    }
}

fn targets(blocks: &mut Vec<Block>, verdicts: &[Verdict], ranked: &[Verdict]) {
    let count =
        |wanted: fn(&Outcome) -> bool| verdicts.iter().filter(|verdict| wanted(&verdict.outcome)).count();
    let met = count(|outcome| matches!(outcome, Outcome::Met { .. }));
    let missed = count(|outcome| matches!(outcome, Outcome::Missed { .. } | Outcome::Failed(_)));
    let elsewhere = count(|outcome| matches!(outcome, Outcome::DoesNotApply(_)));
    let undecided = count(|outcome| matches!(outcome, Outcome::Undecided { .. }));
    let unknown = verdicts.len() - met - missed - undecided - elsewhere;
    blocks.push(heading(2, "Targets"));
    blocks.push(Block::Text(format!(
        "{met} met, {missed} missed, {undecided} undecided, {elsewhere} that do not apply, {unknown} not measured. A ratio here says how many times better Braid is, whichever \
         way better is: the median of the ratios within each round, each to the best rival of that round, as a disk may be twice as fast in one as in another; \
         in small the least and the most. What is met in some rounds and missed in others is undecided. The rival that is named is the one with the best median. One that was measured in other rounds alone is held \
         against by its median, where that is worse for Braid."
    )));
    blocks.push(Block::List(vec![
        if_ranked(ranked, verdicts),
        format!(
            "Who replays as much at a reopen is measured: \"{}\" is what the files of an engine's log hold when its process is \
             killed, without blocks of zeros, which are room that it has reserved. A rival counts that has half as much for \
             each row as Braid, or more.",
            metrics::LOG_AT_THE_KILL
        ),
        format!(
            "What is wanted where the sync is the limit does not apply where the processor is: where Braid used {:.0} % of all \
             cores or more (\"{}\").",
            BUSY * 100.0,
            metrics::PROCESSOR
        ),
        format!(
            "\"{}\" is the greatest resident memory less the resident pages of the executable and its shared libraries, which \
             are of all engines that were linked and of the harness. Pages of a database's mapped files stay in.",
            metrics::MEMORY_WITHOUT_PROGRAM
        ),
    ]));
    let head = ["cell", "target", "braid", "against", "ratio", "wanted", "verdict"];
    let rows = verdicts.iter().map(|verdict| {
        let ratio = match verdict.outcome {
            Outcome::Met { ratio } | Outcome::Missed { ratio } | Outcome::Undecided { ratio } => {
                let shown = Entry::plain(format::times(ratio));
                match verdict.rounds {
                    Some((least, most)) => {
                        shown.with_note(format!("{} – {}", format::times(least), format::times(most)))
                    }
                    None => shown,
                }
            }
            _ => Entry::plain("–"),
        };
        vec![
            Entry::plain(&verdict.cell).with_note(&verdict.metric),
            Entry::plain(verdict.aim),
            Entry::plain(or_dash(&verdict.ours)),
            Entry::plain(or_dash(&verdict.against)),
            ratio,
            Entry::plain(format::times(verdict.wanted)),
            outcome(verdict),
        ]
    });
    blocks.push(table(&head, rows.collect(), true));
}

fn outcome(verdict: &Verdict) -> Entry {
    let warning = if verdict.polluted { " ⚠" } else { "" };
    let percent = |ratio: f64| (ratio / verdict.wanted - 1.0) * 100.0;
    match &verdict.outcome {
        Outcome::Met { ratio } if percent(*ratio) >= 100.0 => {
            let over = format::times(ratio / verdict.wanted);
            Entry::new(format!("met{warning}"), Look::Met).with_note(format!("{over} of it"))
        }
        Outcome::Met { ratio } => {
            Entry::new(format!("met{warning}"), Look::Met).with_note(format!("+{:.0} %", percent(*ratio)))
        }
        Outcome::Missed { ratio } => Entry::new(format!("missed{warning}"), Look::Missed)
            .with_note(format!("by {:.0} %", (-percent(*ratio)).ceil())),
        Outcome::Undecided { ratio } => Entry::plain(format!("undecided{warning}")).with_note(format!(
            "{}{:.0} %",
            if percent(*ratio) < 0.0 { "" } else { "+" },
            percent(*ratio)
        )),
        Outcome::DoesNotApply(why) => Entry::new("does not apply", Look::Muted).with_note(why),
        Outcome::Failed(reason) => Entry::new("failed", Look::Missed).with_note(reason),
        Outcome::NotMeasured(why) => Entry::new("not measured", Look::Muted).with_note(*why),
    }
}

fn group(blocks: &mut Vec<Block>, summary: &Summary, group: &Group) {
    blocks.push(heading(2, &group.name));
    let lines: Vec<_> =
        group.cells.iter().flat_map(|cell| cell.primaries().map(move |line| (cell, line))).collect();
    let described = |line: &Line| (line.metric.clone(), line.unit.clone(), line.better);
    let same =
        lines.first().filter(|(_, first)| lines.iter().all(|(_, line)| described(line) == described(first)));
    if let Some((_, line)) = same {
        blocks.push(Block::Text(format!("{}.", line.described())));
    }
    let mut head = vec!["cell"];
    head.extend(summary.engines.iter().map(String::as_str));
    let rows = lines.iter().map(|(cell, line)| {
        let name = Entry::plain(&cell.name);
        let name = if same.is_some() { name } else { name.with_note(line.described()) };
        let engines = (0..summary.engines.len()).map(|engine| ranked(cell, line, engine));
        std::iter::once(name).chain(engines).collect()
    });
    blocks.push(table(&head, rows.collect(), false));
    let failed = group.cells.iter().flat_map(|cell| cell.failed.iter().map(move |failed| (cell, failed)));
    let failed: Vec<_> = failed
        .map(|(cell, failed)| {
            let name = summary.name(failed.engine);
            format!("{name} failed in {} ({}): {}", cell.name, rounds(failed.rounds), failed.reason)
        })
        .collect();
    if !failed.is_empty() {
        blocks.push(Block::List(failed));
    }
    blocks.extend(plots::throughput(summary, group).into_iter().map(Block::Plot));

    let mut details: Vec<_> = plots::latencies(summary, group).into_iter().map(Block::Plot).collect();
    for cell in &group.cells {
        details.push(heading(4, &cell.name));
        details.push(all_metrics(summary, cell));
    }
    let summary = format!("{}: all metrics, with the least and the most", group.name);
    blocks.push(Block::Details { summary, blocks: details });
}

/// A figure among those of the other engines.
fn ranked(cell: &Cell, line: &Line, engine: usize) -> Entry {
    let failure = cell.failure(engine);
    let Some(figure) = line.figure(engine) else {
        return Entry::new(if failure.is_some() { "failed" } else { "–" }, Look::Muted);
    };
    let ratio = figure.ratio.filter(|_| !figure.best).map_or(String::new(), format::times);
    let note = match failure {
        Some(failed) => format!("{ratio} failed {}", rounds(failed.rounds)).trim_start().to_owned(),
        None => ratio,
    };
    Entry::new(shown(figure, line), look(figure)).with_note(note)
}

/// A row for each engine, with everything that the cell says of it.
fn all_metrics(summary: &Summary, cell: &Cell) -> Block {
    let metrics: Vec<_> = cell.lines.iter().map(|line| format::named(&line.metric, &line.unit)).collect();
    let mut head = vec!["engine"];
    head.extend(metrics.iter().map(String::as_str));
    head.push("rounds");
    let measured = (0..summary.engines.len())
        .filter(|engine| cell.lines.iter().any(|line| line.figure(*engine).is_some()));
    let rows = measured.map(|engine| {
        let mut row = vec![Entry::plain(summary.name(engine))];
        row.extend(cell.lines.iter().map(|line| {
            let Some(figure) = line.figure(engine) else { return Entry::new("–", Look::Muted) };
            let entry = Entry::new(shown(figure, line), look(figure));
            if figure.spread.least == figure.spread.most {
                return entry;
            }
            let [least, most] =
                [figure.spread.least, figure.spread.most].map(|end| format::value(end, &line.unit));
            entry.with_note(format!("{least} – {most}"))
        }));
        row.push(readings(cell, engine));
        row
    });
    table(&head, rows.collect(), false)
}

/// How many rounds the figures of an engine are of.
fn readings(cell: &Cell, engine: usize) -> Entry {
    let Some(figure) = cell.lines.iter().find_map(|line| line.figure(engine)) else {
        return Entry::default();
    };
    let entry = Entry::plain(figure.kept.to_string());
    if figure.left_out > 0 { entry.with_note(format!("{} ⚠ left out", figure.left_out)) } else { entry }
}

fn shown(figure: &Figure, line: &Line) -> String {
    let warning = if figure.polluted { " ⚠" } else { "" };
    format!("{}{warning}", format::value(figure.spread.median, &line.unit))
}

fn look(figure: &Figure) -> Look {
    match figure {
        Figure { struck: true, .. } => Look::Struck,
        Figure { best: true, .. } => Look::Best,
        _ => Look::Plain,
    }
}

fn engines(blocks: &mut Vec<Block>, input: &Input) {
    if !input.engines.is_empty() {
        blocks.push(heading(2, "Engines"));
        let head = [
            "engine",
            "version",
            "write transactions",
            "isolation",
            "durable",
            "deferred",
            "deferred survives a kill",
            "notes",
        ];
        let mut engines: Vec<_> = input.engines.iter().collect();
        engines.sort_by_key(|about| (about.engine != OURS, about.engine.clone()));
        let rows = engines.into_iter().map(|about| {
            let survives = match about.deferred_survives_kill.as_str() {
                "true" => "yes",
                "false" => "no",
                other => other,
            };
            let durable = if about.durable.is_empty() { "none that syncs" } else { &about.durable };
            let words = [
                &about.engine,
                &about.version,
                &about.writers,
                &about.isolation,
                durable,
                &about.deferred,
                survives,
                &about.notes,
            ];
            words.into_iter().map(Entry::plain).collect()
        });
        blocks.push(table(&head, rows.collect(), true));
    }
    if !input.syncs.is_empty() {
        blocks.push(heading(2, "Do they sync?"));
        blocks.push(Block::Text(
            "Calls that sync, counted by the kernel while one writer committed one row at a time. \"Does not sync\" is also who \
             acknowledged any commit sooner than every sync was made to take, with one writer or with four at once.".to_owned(),
        ));
        let head = ["engine", "durability", "commits", "syncs", "verdict"];
        let rows = input.syncs.iter().map(|syncs| {
            let verdict = if syncs.is_refuted() { Look::Missed } else { Look::Plain };
            let words = [&syncs.engine, &syncs.durability, &syncs.commits, &syncs.syncs];
            let words = words.into_iter().map(Entry::plain);
            words.chain([Entry::new(&syncs.verdict, verdict)]).collect()
        });
        blocks.push(table(&head, rows.collect(), true));
    }
}

/// Those of cells that no engine did, which no table has.
fn failures(blocks: &mut Vec<Block>, input: &Input) {
    let done = |cell: &str| input.readings.iter().any(|reading| reading.cell == cell);
    let failed: Vec<_> = input
        .failures
        .iter()
        .filter(|failed| !done(&failed.cell))
        .map(|failed| {
            format!("{} in {}, round {}: {}", failed.engine, failed.cell, failed.round, failed.reason)
        })
        .collect();
    if !failed.is_empty() {
        blocks.push(heading(2, "Cells that nobody did"));
        blocks.push(Block::List(failed));
    }
}

fn table(head: &[&str], rows: Vec<Vec<Entry>>, words: bool) -> Block {
    Block::Table(Table { head: head.iter().map(|name| (*name).to_owned()).collect(), rows, words })
}

fn rounds(count: usize) -> String {
    if count == 1 { "1 round".to_owned() } else { format!("{count} rounds") }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "–" } else { text }
}
