//! Made-up results that have everything: many engines, several rounds and groups, polluted readings, failures, an engine that
//! does not sync.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::read::Input;

pub(super) const HEAD: &str = "round,engine,cell,group,threads,durability,metric,value,unit,better,primary,others,polluted,\
                               peak_memory_bytes\n";

const ENGINES: [(&str, f64); 10] = [
    ("sqlite", 0.21),
    ("turso", 0.12),
    ("braid", 2.3),
    ("fjall", 0.62),
    ("lmdb", 1.0),
    ("redb", 0.64),
    ("rocksdb", 0.81),
    ("canopydb", 0.97),
    ("surrealkv", 0.83),
    ("sqlrite", 0.05),
];

/// Group, what is before the threads, numbers of threads, durability, primary metric, its unit, the rate of LMDB with one
/// thread, and how many times that with 64.
type Made =
    (&'static str, &'static str, &'static [usize], &'static str, &'static str, &'static str, f64, f64);

const CELLS: [Made; 11] = [
    ("commits-durable", "commits-durable", &[1, 2, 8, 32, 64], "durable", "commits", "1/s", 6_100.0, 9.0),
    ("commits-deferred", "commits-deferred", &[1, 2, 8], "deferred", "commits", "1/s", 143_000.0, 1.3),
    ("bank-hot", "bank-hot-deferred", &[1, 2, 8, 32], "deferred", "transfers", "1/s", 200_000.0, 0.4),
    ("point-reads", "point-reads-fresh", &[1, 2], "deferred", "reads", "1/s", 790_000.0, 40.0),
    ("scans", "scans-100", &[1], "deferred", "rows", "rows/s", 9_000_000.0, 1.0),
    ("scans", "scans-all", &[1], "deferred", "rows", "rows/s", 28_000_000.0, 1.0),
    ("load", "load-sequential", &[1], "deferred", "rows", "rows/s", 1_330_000.0, 1.0),
    ("load", "load-random", &[1], "deferred", "rows", "rows/s", 210_000.0, 1.0),
    (
        "inserts-computing",
        "inserts-computing-0us",
        &[1, 2, 4, 8],
        "deferred",
        "rows",
        "rows/s",
        400_000.0,
        1.8,
    ),
    ("ycsb-a", "ycsb-a", &[2, 8], "deferred", "operations", "1/s", 120_000.0, 1.2),
    ("reopen", "reopen", &[1], "deferred", "reopen", "ms", 130.0, 1.0),
];

/// Numbers that look like chance, the same ones each time.
struct Chance(u64);

impl Chance {
    /// From 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1_u64 << 24) as f64
    }
}

/// A directory for one test, which is removed with it.
pub(super) struct Dir(pub(super) PathBuf);

impl Dir {
    pub(super) fn new(name: &str) -> Self {
        // Tests run at once, some of them with the same name here.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("braid-compare-report-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Writes what a runner would.
pub(super) fn write(dir: &Path) {
    let mut results = HEAD.to_owned();
    let mut chance = Chance(7);
    for round in 1..=5 {
        for (group, family, threads, durability, metric, unit, base, growth) in CELLS {
            for threads in threads {
                for (engine, speed) in ENGINES {
                    let failed = engine == "sqlrite" && *threads == 64
                        || ["turso", "sqlrite"].contains(&engine) && group == "load";
                    if failed {
                        continue;
                    }
                    let polluted = chance.next() < 0.12 || engine == "redb" && group == "scans";
                    let disturbed = if polluted { 0.55 } else { 1.0 };
                    let own =
                        growth * if ["braid", "surrealkv", "rocksdb"].contains(&engine) { 1.6 } else { 0.9 };
                    let scaling = own.powf((*threads as f64).log2() / 6.0);
                    // We are behind somewhere.
                    let speed = if engine == "braid" && family == "scans-all" { 0.4 } else { speed };
                    let rate = base * speed * scaling * disturbed * (0.93 + 0.14 * chance.next());
                    let value =
                        if unit == "ms" { base / speed * (0.93 + 0.14 * chance.next()) } else { rate };
                    let better = if unit == "ms" { "less" } else { "more" };
                    let others = if polluted { 0.3 } else { 0.03 };
                    let memory = (40.0 + 30.0 * chance.next()) * 1_048_576.0;
                    let mut line = |metric: &str, value: f64, unit: &str, better: &str, primary: bool| {
                        let _ = writeln!(
                            results,
                            "{round},{engine},{family}-{threads},{group},{threads},{durability},{metric},{value},{unit},\
                             {better},{primary},{others},{polluted},{memory:.0}"
                        );
                    };
                    line(metric, value, unit, better, true);
                    if metric == "commits" || metric == "transfers" {
                        line("attempts for each", 1.0 + chance.next() * 0.3, "×", "less", false);
                        let micros = 1e6 / rate * *threads as f64 * 0.8;
                        for (of, times) in [("p50", 1.0), ("p99", 3.0), ("p99.9", 14.0), ("max", 300.0)] {
                            let value = micros * times * (0.7 + 0.6 * chance.next());
                            line(&format!("latency {of}"), value, "µs", "less", false);
                        }
                    }
                }
            }
        }
    }
    let files = [
        ("results.csv", results.as_str()),
        (
            "failures.csv",
            "round,engine,cell,reason\n1,sqlrite,commits-durable-64,\"busy, for <60> s | no progress\"\n\
             2,sqlrite,commits-durable-64,busy\n1,turso,load-random-1,out of memory\n1,turso,load-sequential-1,out of memory\n\
             1,redb,larger-than-cache-random-reads-1,killed\n",
        ),
        (
            "engines.csv",
            "engine,version,writers,isolation,durable,deferred,deferred_survives_kill,notes\n\
             lmdb,0.9,one,serializable,fdatasync,NOSYNC,true,\nbraid,0.1,many,snapshot,Durable,Deferred,true,ours\n",
        ),
        (
            "syncs.csv",
            "engine,durability,commits,syncs,verdict\nbraid,durable,100,101,syncs\nsurrealkv,durable,100,0,does not sync\n\
             turso,deferred,100,0,does not sync\n",
        ),
        ("machine.txt", "- processor: made up, 2 cores\n- memory: 24 GB\n"),
    ];
    for (name, text) in files {
        std::fs::write(dir.join(name), text).unwrap();
    }
}

pub(super) fn input() -> Input {
    let dir = Dir::new("sample");
    write(&dir.0);
    let mut input = Input::default();
    input.add(&dir.0).unwrap();
    input
}
