//! The report of the made-up results, and of a few lines that have one thing each.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::compose::compose;
use super::document::{Block, Entry, Look, Plot};
use super::judge::{Outcome, Verdict, judge};
use super::read::Input;
use super::run::{plots, write};
use super::sample::{self, Dir, HEAD};
use super::summary::{Line, Summary};
use super::targets::{Against, Metric, TARGETS, Target};
use super::{html, markdown};

/// The report of the sample, with every plot that it shows. `BRAID_SAMPLE=dir cargo test leaves_a_sample` leaves it where a
/// person can look at it.
#[test]
fn leaves_a_sample() {
    let dir = Dir::new("sample");
    let out = std::env::var_os("BRAID_SAMPLE").map_or_else(|| dir.0.clone(), PathBuf::from);
    let input = sample::input();
    write(&input, &out).unwrap();
    let blocks = compose(&input, &Summary::of(&input));
    let shown = plots(&blocks);
    assert!(!shown.is_empty());
    let plots = shown.iter().map(|plot| plot.file.as_str());
    for name in plots.chain(["README.md", "report.html", "results.csv"]) {
        assert!(std::fs::metadata(out.join(name)).unwrap().len() > 0, "{name} is empty");
    }
}

/// Readings of the rate `commits` in the durable cell `c-8`, each with its round, engine, value, and whether it is polluted.
fn rates(readings: &[(usize, &str, f64, bool)]) -> Input {
    let dir = Dir::new("rates");
    let lines = readings.iter().map(|(round, engine, value, polluted)| {
        format!("{round},{engine},c-8,c,8,durable,commits,{value},1/s,more,true,0.02,{polluted},1048576\n")
    });
    std::fs::write(dir.0.join("results.csv"), HEAD.to_owned() + &lines.collect::<String>()).unwrap();
    let mut input = Input::default();
    input.add(&dir.0).unwrap();
    input
}

fn line<'a>(summary: &'a Summary, cell: &str, metric: &str) -> &'a Line {
    summary.cells().find(|other| other.name == cell).and_then(|cell| cell.line(metric)).unwrap()
}

/// The entries of a row of the first table whose rows begin so.
fn row<'a>(blocks: &'a [Block], name: &str) -> &'a [Entry] {
    let tables =
        blocks.iter().filter_map(|block| if let Block::Table(table) = block { Some(table) } else { None });
    let mut tables =
        tables.filter(|table| table.head.first().is_some_and(|head| head == "cell") && !table.words);
    tables.find_map(|table| table.rows.iter().find(|row| row[0].text == name)).unwrap()
}

fn with_syncs(mut input: Input, engine: &str, verdict: &str) -> Input {
    let [engine, verdict] = [engine, verdict].map(str::to_owned);
    let (commits, syncs) = ("100".to_owned(), "0".to_owned());
    input.syncs.push(super::read::Syncs { engine, durability: "durable".into(), commits, syncs, verdict });
    input
}

#[test]
fn polluted_readings_are_left_out_where_there_are_clean_ones() {
    let input = rates(&[
        (1, "braid", 100.0, false),
        (2, "braid", 110.0, false),
        (3, "braid", 10.0, true),
        (1, "lmdb", 50.0, true),
        (2, "lmdb", 60.0, true),
    ]);
    let summary = Summary::of(&input);
    let line = line(&summary, "c-8", "commits");
    let [ours, lmdb] = [line.figure(0).unwrap(), line.figure(1).unwrap()];
    assert_eq!((ours.spread.median, ours.spread.least, ours.kept, ours.left_out), (105.0, 100.0, 2, 1));
    assert!(!ours.polluted && lmdb.polluted);
    assert_eq!((lmdb.spread.median, lmdb.left_out), (55.0, 0));
    let blocks = compose(&input, &summary);
    assert_eq!(row(&blocks, "c-8")[2].text, "55 ⚠");
    assert!(markdown::write(&blocks).contains("| 2 (1 ⚠ left out) |"));
}

#[test]
fn the_best_is_bold_and_ratios_are_to_it() {
    let input = rates(&[(1, "lmdb", 400.0, false), (1, "braid", 200.0, false), (1, "redb", 100.0, false)]);
    let blocks = compose(&input, &Summary::of(&input));
    let shown: Vec<_> =
        row(&blocks, "c-8").iter().map(|entry| (entry.text.as_str(), entry.note.as_str())).collect();
    assert_eq!(shown, [("c-8", ""), ("200", "×0.50"), ("400", ""), ("100", "×0.25")]);
    assert!(markdown::write(&blocks).contains("| cell | braid | lmdb | redb |"));
    assert!(markdown::write(&blocks).contains("| c-8 | 200 (×0.50) | **400** | 100 (×0.25) |"));
    assert!(html::write("t", &blocks).contains("<td>200<small>×0.50</small></td><td><b>400</b></td>"));
}

#[test]
fn less_is_better_where_it_is() {
    let summary = Summary::of(&sample::input());
    let line = line(&summary, "reopen-1", "reopen");
    let least = line.figures.iter().map(|figure| figure.spread.median).fold(f64::INFINITY, f64::min);
    assert!(line.figures.iter().all(|figure| figure.best == (figure.spread.median == least)));
    assert!(line.figures.iter().all(|figure| figure.ratio.is_some_and(|ratio| ratio >= 1.0)));
}

#[test]
fn who_does_not_sync_is_never_the_best_of_a_durable_cell() {
    let rates = rates(&[(1, "braid", 10.0, false), (1, "redb", 8.0, false), (1, "surrealkv", 90.0, false)]);
    let input = with_syncs(rates, "surrealkv", "does not sync before it acknowledges");
    let summary = Summary::of(&input);
    let line = line(&summary, "c-8", "commits");
    assert!(line.figure(0).unwrap().best && line.figure(2).unwrap().struck && !line.figure(2).unwrap().best);
    assert_eq!(line.figure(1).unwrap().ratio, Some(0.8));
    let blocks = compose(&input, &summary);
    assert_eq!(row(&blocks, "c-8")[3].look, Look::Struck);
    assert!(markdown::write(&blocks).contains("| c-8 | **10** | 8 (×0.80) | ~~90~~ |"));
    // No rival that syncs is as fast: the lead is over the one that does.
    assert_eq!(line.lead().map(|(ratio, ..)| ratio), Some(1.25));
}

#[test]
fn a_sync_that_is_not_asked_for_strikes_nobody_out() {
    let input = sample::input();
    let summary = Summary::of(&input);
    let turso = summary.engines.iter().position(|name| name == "turso").unwrap();
    let surrealkv = summary.engines.iter().position(|name| name == "surrealkv").unwrap();
    assert!(!line(&summary, "commits-durable-8", "commits").figure(turso).unwrap().struck);
    assert!(line(&summary, "commits-durable-8", "commits").figure(surrealkv).unwrap().struck);
    assert!(!line(&summary, "commits-deferred-8", "commits").figure(surrealkv).unwrap().struck);
}

#[test]
fn a_failure_says_why() {
    let input = sample::input();
    let blocks = compose(&input, &Summary::of(&input));
    let text = markdown::write(&blocks);
    assert!(text.contains(
        "- sqlrite failed in commits-durable-64 (2 rounds): busy, for \\<60\\> s \\| no progress\n"
    ));
    assert!(text.contains("redb in larger-than-cache-random-reads-1, round 1: killed"));
    assert!(row(&blocks, "commits-durable-64").iter().any(|entry| entry.text == "failed"));
}

#[test]
fn runs_are_read_as_one_and_their_rounds_kept_apart() {
    let dir = Dir::new("twice");
    sample::write(&dir.0);
    let mut input = Input::default();
    input.add(&dir.0).unwrap();
    let once = input.readings.len();
    input.add(&dir.0).unwrap();
    assert_eq!(input.readings.len(), 2 * once);
    assert_eq!(input.readings.iter().map(|reading| reading.round).max(), Some(10));
    assert!(input.repeated.contains("reopen-1"));
    assert_eq!((input.engines.len(), input.syncs.len()), (2, 3));
    assert_eq!(Summary::of(&input).cells().map(|cell| cell.rounds).max(), Some(10));
}

#[test]
fn what_is_no_result_is_refused_with_its_place() {
    let dir = Dir::new("broken");
    for (text, said) in [
        ("round,engine\n1,braid\n", "missing field"),
        (&format!("{HEAD}x,braid,c-1,c,1,durable,commits,1,1/s,more,true,0,false,\n"), "line: 2"),
        (
            &format!("{HEAD}1,braid,c-1,c,1,durable,commits,NaN,1/s,more,true,0,false,\n"),
            "commits of braid in c-1",
        ),
    ] {
        std::fs::write(dir.0.join("results.csv"), text).unwrap();
        let error = format!("{:?}", Input::default().add(&dir.0).unwrap_err());
        assert!(error.contains("results.csv") && error.contains(said), "{error}");
    }
    std::fs::write(
        dir.0.join("results.csv"),
        format!("{HEAD}1,braid,c-1,c,1,durable,commits,1,1/s,more,true,,false,\n"),
    )
    .unwrap();
    Input::default().add(&dir.0).unwrap();
}

fn verdict(readings: &[(usize, &str, f64, bool)], against: Against, wanted: f64) -> Outcome {
    let input = with_syncs(rates(readings), "surrealkv", "does not sync");
    let target =
        Target { aim: "", cells: &["c-*"], metric: Metric::Primary, against, wanted, with_rest: false };
    let mut verdicts = judge(&[target], &Summary::of(&input), &["cores: 2".to_owned()]);
    assert_eq!(verdicts.len(), 1);
    verdicts.remove(0).outcome
}

#[test]
fn targets_are_judged_by_the_ratio() {
    let all = [
        (1, "braid", 300.0, false),
        (1, "lmdb", 200.0, false),
        (1, "redb", 100.0, false),
        (1, "surrealkv", 900.0, false),
    ];
    let judged = |against, wanted| verdict(&all, against, wanted);
    assert_eq!(judged(Against::BestRival, 1.5), Outcome::Met { ratio: 1.5 });
    assert_eq!(judged(Against::BestRival, 2.0), Outcome::Missed { ratio: 1.5 });
    assert_eq!(judged(Against::BestRivalIn(&["d-8", "c-8"]), 1.5), Outcome::Met { ratio: 1.5 });
    assert_eq!(judged(Against::BestOf(&["redb", "surrealkv"]), 2.0), Outcome::Met { ratio: 3.0 });
    assert_eq!(judged(Against::Number(600.0), 1.0), Outcome::Missed { ratio: 0.5 });
    assert_eq!(judged(Against::PerThread(10.0), 1.0), Outcome::Met { ratio: 3.75 });
    assert_eq!(judged(Against::Ours(&["none", "commits"], 0.5), 1.0), Outcome::Met { ratio: 2.0 });
    assert_eq!(judged(Against::OursPerThread(&["commits"], 0.5), 1.0), Outcome::Missed { ratio: 0.25 });
    assert_eq!(judged(Against::OursIn("c-8", 2.0), 1.0), Outcome::Missed { ratio: 0.5 });
    assert_eq!(judged(Against::Cores { rows: 100.0, micros: 1e6 }, 1.0), Outcome::Met { ratio: 1.5 });
    let nothing = Outcome::NotMeasured("nothing to hold it against");
    assert_eq!(judged(Against::BestRivalIn(&["d-8"]), 1.0), nothing);
    assert_eq!(judged(Against::BestOf(&["fjall"]), 1.0), nothing);
    assert_eq!(judged(Against::OursIn("d-8", 1.0), 1.0), nothing);
    let without_us = verdict(&[(1, "lmdb", 1.0, false)], Against::BestRival, 1.0);
    assert_eq!(without_us, Outcome::NotMeasured("no such metric"));
}

/// A disk that is twice as fast in one round as in the other: what was measured beside it in the same round says more than the
/// medians of both.
#[test]
fn ratios_are_within_a_round() {
    let rounds = [
        (1, "braid", 100.0, false),
        (2, "braid", 200.0, false),
        (3, "braid", 300.0, false),
        (1, "lmdb", 50.0, false),
        (2, "lmdb", 200.0, false),
        (3, "lmdb", 100.0, false),
        // The most, in a round of which ours has no reading.
        (4, "lmdb", 900.0, false),
    ];
    assert_eq!(verdict(&rounds, Against::BestRival, 2.0), Outcome::Undecided { ratio: 2.0 });
    // The best of each round, whoever that is: 2.0 in the first, 1.0 in the second.
    let taking_turns = [
        (1, "braid", 100.0, false),
        (2, "braid", 100.0, false),
        (1, "lmdb", 50.0, false),
        (2, "lmdb", 10.0, false),
        (1, "redb", 10.0, false),
        (2, "redb", 100.0, false),
    ];
    assert_eq!(verdict(&taking_turns, Against::BestRival, 1.5), Outcome::Undecided { ratio: 1.5 });
    // Who was never beside ours does not win by that.
    let stranger = [(1, "braid", 100.0, false), (1, "lmdb", 50.0, false), (2, "redb", 80.0, false)];
    assert_eq!(verdict(&stranger, Against::BestRival, 1.5), Outcome::Missed { ratio: 1.25 });
    // Rounds of which each has another one: the medians.
    let apart = [(1, "braid", 100.0, false), (2, "lmdb", 50.0, false)];
    assert_eq!(verdict(&apart, Against::BestRival, 2.0), Outcome::Met { ratio: 2.0 });
}

#[test]
fn who_promises_less_is_shown_in_deferred_cells_and_not_ranked() {
    let all = [(1, "braid", 10.0, false), (1, "lmdb", 5.0, false), (1, crate::engine::UNRANKED, 90.0, false)];
    let mut input = rates(&all);
    let judged = |summary: &Summary| {
        let target = Target {
            aim: "",
            cells: &["c-8"],
            metric: Metric::Primary,
            against: Against::BestRival,
            wanted: 2.0,
            with_rest: false,
        };
        judge(&[target], summary, &[]).remove(0).outcome
    };
    // It syncs with the others.
    assert!(matches!(judged(&Summary::of(&input)), Outcome::Missed { .. }));
    for reading in &mut input.readings {
        "deferred".clone_into(&mut reading.durability);
    }
    assert_eq!(judged(&Summary::of(&input)), Outcome::Met { ratio: 2.0 });
    assert!(matches!(judged(&Summary::with_all_ranked(&input)), Outcome::Missed { .. }));
    let blocks = compose(&input, &Summary::of(&input));
    assert!(markdown::write(&blocks).contains("| c-8 | **10** | 5 (×0.50) | ~~90~~ |"));
}

#[test]
fn what_only_some_rounds_meet_is_undecided() {
    let rounds = [
        (1, "braid", 100.0, false),
        (1, "lmdb", 40.0, false),
        (2, "braid", 100.0, false),
        (2, "lmdb", 60.0, false),
    ];
    assert!(matches!(verdict(&rounds, Against::BestRival, 2.0), Outcome::Undecided { .. }));
    assert!(matches!(verdict(&rounds, Against::BestRival, 1.5), Outcome::Met { .. }));
    assert!(matches!(verdict(&rounds, Against::BestRival, 3.0), Outcome::Missed { .. }));
}

#[test]
fn a_target_without_its_cell_is_not_measured() {
    let input = rates(&[(1, "braid", 1.0, false)]);
    let verdicts = judge(TARGETS, &Summary::of(&input), &[]);
    assert!(verdicts.iter().all(|verdict| verdict.outcome == Outcome::NotMeasured("no such cell")));
    let text = markdown::write(&compose(&input, &Summary::of(&input)));
    let count: usize = TARGETS.iter().map(|target| target.cells.len()).sum();
    assert!(
        text.contains(&format!("0 met, 0 missed, 0 undecided, 0 that do not apply, {count} not measured."))
    );
}

#[test]
fn a_target_says_which_rival_was_not_there() {
    let input = rates(&[(1, "braid", 3.0, false), (1, "fjall", 2.0, false)]);
    let against = Against::BestOf(&["fjall", "rocksdb"]);
    let target = Target {
        aim: "",
        cells: &["c-8", "d-8"],
        metric: Metric::Primary,
        against,
        wanted: 1.0,
        with_rest: false,
    };
    let verdicts = judge(&[target], &Summary::of(&input), &[]);
    assert_eq!(verdicts[0].against, "fjall 2; without rocksdb");
    assert_eq!(
        (verdicts[1].cell.as_str(), &verdicts[1].outcome),
        ("d-8", &Outcome::NotMeasured("no such cell"))
    );
}

/// Times of a cell that opens, of engines in order, and of the log that each had, where that was measured.
fn reopened(engines: &[(&str, f64, Option<f64>)]) -> Verdict {
    let dir = Dir::new("reopened");
    let mut lines = HEAD.to_owned();
    for (engine, millis, log) in engines {
        let mut line = |metric: &str, value: f64, unit: &str, better: &str, primary: bool| {
            lines += &format!(
                "1,{engine},reopen-1,reopen,1,deferred,{metric},{value},{unit},{better},{primary},0,false,\n"
            );
        };
        line("reopen", *millis, "ms", "less", true);
        if let Some(log) = log {
            line("log at the kill", *log, "bytes/row", "neither", false);
        }
    }
    std::fs::write(dir.0.join("results.csv"), lines).unwrap();
    let mut input = Input::default();
    input.add(&dir.0).unwrap();
    let target = TARGETS.iter().find(|target| matches!(target.against, Against::BestWithAsMuch(..))).unwrap();
    judge(std::slice::from_ref(target), &Summary::of(&input), &[]).remove(0)
}

#[test]
fn who_has_less_to_replay_is_no_measure() {
    let ours = ("braid", 150.0, Some(60.0));
    let quick = ("sqlite", 2.0, Some(4.14));
    let verdict = reopened(&[ours, ("rocksdb", 300.0, Some(30.0)), quick, ("lmdb", 0.5, Some(0.0))]);
    assert_eq!(verdict.outcome, Outcome::Met { ratio: 2.0 });
    assert_eq!(
        verdict.against,
        "rocksdb 300 ms; without lmdb (log at the kill: 0 of our 60 bytes/row), sqlite (log at the kill: 4.14 of our 60 \
         bytes/row)"
    );
    // Who is faster with as much is one.
    let verdict = reopened(&[ours, ("rocksdb", 75.0, Some(90.0)), quick]);
    assert_eq!(verdict.outcome, Outcome::Missed { ratio: 0.5 });
    // And so is anybody where ours has as little.
    let verdict = reopened(&[("braid", 4.0, Some(8.0)), quick]);
    assert_eq!((verdict.outcome, verdict.against.as_str()), (Outcome::Missed { ratio: 0.5 }, "sqlite 2 ms"));
}

#[test]
fn a_log_that_was_not_measured_is_not_believed() {
    let nothing = Outcome::NotMeasured("nothing to hold it against");
    let verdict = reopened(&[("braid", 150.0, None), ("rocksdb", 300.0, Some(30.0))]);
    assert_eq!(
        (verdict.outcome, verdict.against.as_str()),
        (nothing.clone(), "log at the kill: not measured")
    );
    let verdict = reopened(&[("braid", 150.0, Some(60.0)), ("rocksdb", 300.0, None)]);
    assert_eq!(
        (verdict.outcome, verdict.against.as_str()),
        (nothing, "without rocksdb (log at the kill: not measured)")
    );
}

/// The verdict on durable commits that are half of what the syncs would allow, with this share of the processor, and what the
/// report counts.
fn with_processor(share: Option<f64>) -> (Outcome, String) {
    let dir = Dir::new("processor");
    let mut lines = HEAD.to_owned();
    let mut line = |metric: &str, value: f64, unit: &str, better: &str, primary: bool| {
        lines += &format!(
            "1,braid,commits-durable-32,c,32,durable,{metric},{value},{unit},{better},{primary},0,false,\n"
        );
    };
    line("commits", 80_000.0, "1/s", "more", true);
    line("raw syncs", 10_000.0, "1/s", "more", false);
    if let Some(share) = share {
        line("\"processor, share of all cores\"", share, "", "neither", false);
    }
    std::fs::write(dir.0.join("results.csv"), lines).unwrap();
    let mut input = Input::default();
    input.add(&dir.0).unwrap();
    let summary = Summary::of(&input);
    let mut verdicts = judge(TARGETS, &summary, &[]);
    verdicts.retain(|verdict| {
        verdict.cell == "commits-durable-32" && verdict.aim.ends_with("where the sync is the limit")
    });
    assert_eq!((verdicts.len(), verdicts[0].against.as_str()), (1, "160k"));
    (verdicts.remove(0).outcome, markdown::write(&compose(&input, &summary)))
}

#[test]
fn what_the_sync_allows_is_wanted_where_the_processor_rests() {
    let (outcome, text) = with_processor(Some(0.84));
    assert_eq!(outcome, Outcome::Missed { ratio: 0.5 });
    assert!(text.contains("0 met, 1 missed, 0 undecided, 0 that do not apply, "), "{text}");
    let (outcome, text) = with_processor(Some(0.853));
    assert_eq!(outcome, Outcome::DoesNotApply("the processor is the limit: 85 % busy".into()));
    assert!(text.contains("0 met, 0 missed, 0 undecided, 1 that do not apply, "), "{text}");
    assert!(text.contains("| does not apply (the processor is the limit: 85 % busy) |"), "{text}");
    let (outcome, _) = with_processor(None);
    assert_eq!(outcome, Outcome::NotMeasured("whether the processor was the limit"));
}

#[test]
fn memory_is_judged_without_the_programs_pages() {
    let judged = |metrics: &[(&str, f64)]| {
        let dir = Dir::new("memory");
        let lines = metrics.iter().map(|(metric, mib)| {
            format!(
                "1,braid,larger-than-cache-reads-1,c,1,deferred,\"{metric}\",{mib},MiB,less,false,0,false,\n"
            )
        });
        std::fs::write(dir.0.join("results.csv"), HEAD.to_owned() + &lines.collect::<String>()).unwrap();
        let mut input = Input::default();
        input.add(&dir.0).unwrap();
        let mut verdicts = judge(TARGETS, &Summary::of(&input), &[]);
        verdicts.retain(|verdict| verdict.aim == "the cache and 20 % of memory");
        verdicts.remove(0)
    };
    let with = judged(&[("memory, peak", 153.6)]);
    assert_eq!((with.metric.as_str(), with.outcome), ("memory, peak", Outcome::Missed { ratio: 0.5 }));
    let name = "memory without the program's own pages, peak";
    let without = judged(&[("memory, peak", 153.6), (name, 76.8)]);
    assert_eq!((without.metric.as_str(), without.outcome), (name, Outcome::Met { ratio: 1.0 }));
}

#[test]
fn everything_is_written() {
    let (from, out) = (Dir::new("from"), Dir::new("out"));
    sample::write(&from.0);
    let mut input = Input::default();
    input.add(&from.0).unwrap();
    write(&input, &out.0).unwrap();
    let read = |name: &str| std::fs::read_to_string(out.0.join(name)).unwrap();
    let text = read("README.md");
    let blocks = compose(&input, &Summary::of(&input));
    let plots = plots(&blocks);
    assert!(plots.len() > 10);
    for plot in plots {
        assert!(text.contains(&format!("]({})", plot.file)), "{}", plot.file);
        assert_well_formed(&read(&plot.file));
    }
    let page = read("report.html");
    assert!(
        !page.contains("http://")
            || page.matches("http://").count() == page.matches("http://www.w3.org/2000/svg").count()
    );
    assert!(
        !page.contains("<script") && !page.contains("<img") && page.contains("prefers-color-scheme:dark")
    );
    // The merged readings are a result that can be read again.
    let mut again = Input::default();
    again.add(&out.0).unwrap();
    assert_eq!(again.readings.len(), input.readings.len());
}

#[test]
fn plots_have_files_of_their_own() {
    let input = sample::input();
    let blocks = compose(&input, &Summary::of(&input));
    let mut files: Vec<_> = plots(&blocks).into_iter().map(|plot| plot.file.clone()).collect();
    let count = files.len();
    files.sort();
    files.dedup();
    assert_eq!(files.len(), count);
    for expected in
        ["overview", "commits-durable-threads", "commits-durable-latency", "scans-bars", "reopen-bars"]
    {
        assert!(files.contains(&format!("{expected}.svg")), "{expected} in {files:?}");
    }
}

/// Every element is closed in turn, and attributes are in quotes.
fn assert_well_formed(svg: &str) {
    let (mut open, mut rest) = (Vec::new(), svg);
    while let Some(start) = rest.find('<') {
        let (text, tag) = rest.split_at(start);
        assert!(!text.contains('>') || open.last() == Some(&"style"), "{text}");
        let (tag, after) = tag[1..].split_once('>').expect("a tag ends");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        rest = after;
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split(' ').next().unwrap());
        }
    }
    assert!(open.is_empty() && svg.starts_with("<svg "), "{open:?}");
}

/// Left, right, top and bottom of a text, by generous sizes of its letters.
fn boxes(svg: &str) -> Vec<([f64; 4], String)> {
    let sizes = BTreeMap::from([
        ("title", (8.6, 14.5)),
        ("panel", (7.4, 12.5)),
        ("note", (6.0, 11.0)),
        ("tick", (6.0, 11.0)),
    ]);
    let texts = svg.split("<text").skip(1).map(|text| {
        let (attributes, text) = text.split_once('>').unwrap();
        let text = text.split('<').next().unwrap().to_owned();
        let of = |name: &str| {
            attributes.split_once(&format!(" {name}=\"")).unwrap().1.split('"').next().unwrap().to_owned()
        };
        let number = |name: &str| of(name).parse::<f64>().unwrap();
        let (width, height) = sizes.get(of("class").as_str()).copied().unwrap_or((6.5, 12.0));
        let (x, y, width) = (number("x"), number("y"), width * text.chars().count() as f64);
        let left = match of("text-anchor").as_str() {
            "start" => x,
            "middle" => x - width / 2.0,
            _ => x - width,
        };
        ([left, left + width, y - height * 0.8, y + height * 0.2], text)
    });
    texts.collect()
}

#[test]
fn no_two_labels_touch_and_none_is_cut_off() {
    let input = sample::input();
    let blocks = compose(&input, &Summary::of(&input));
    for Plot { file, paper, .. } in plots(&blocks) {
        let boxes = boxes(&paper.to_file());
        assert!(boxes.len() > 10, "{file}");
        for (number, ([left, right, top, bottom], text)) in boxes.iter().enumerate() {
            assert!(*left >= 0.0 && *right <= 760.0, "{file}: {text} from {left} to {right}");
            for ([other_left, other_right, other_top, other_bottom], other) in &boxes[number + 1..] {
                let apart =
                    right <= other_left || other_right <= left || bottom <= other_top || other_bottom <= top;
                assert!(apart, "{file}: {text} and {other} touch");
            }
        }
    }
}
