//! The result of a run, as a table or as JSON.

use std::time::Duration;

use braid::{ConflictReport, GateStats, Stats};
use serde_json::{Value, json};

use super::teller::Tally;
use crate::commands::conflicts;
use crate::output::{count, duration, facts, rate, ratio};

/// The sums of the balances: what they must be, and what they were.
#[derive(Clone, Copy, Debug)]
pub(super) struct Totals {
    pub(super) expected: u64,
    pub(super) after: u64,
    pub(super) reopened: u64,
}

impl Totals {
    pub(super) fn conserved(self) -> bool {
        self.after == self.expected && self.reopened == self.expected
    }
}

/// A finished run.
#[derive(Debug)]
pub(super) struct Report {
    /// What was run.
    pub(super) title: String,
    pub(super) elapsed: Duration,
    pub(super) tally: Tally,
    /// Commits of the run for each sync of the log; `None` without a sync.
    pub(super) commits_per_sync: Option<f64>,
    pub(super) totals: Totals,
    pub(super) conflicts: ConflictReport,
    pub(super) gate: GateStats,
}

/// Commits for each sync between two looks at the statistics.
pub(super) fn commits_per_sync(before: &Stats, after: &Stats) -> Option<f64> {
    let syncs = after.log.syncs.saturating_sub(before.log.syncs);
    let commits = after.commits.saturating_sub(before.commits);
    (syncs > 0).then(|| commits as f64 / syncs as f64)
}

impl Report {
    fn quantile(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.tally.latency.value_at_quantile(quantile))
    }

    pub(super) fn text(&self) -> String {
        let tally = &self.tally;
        let totals = self.totals;
        let total = if totals.conserved() {
            format!("conserved: {} before, after, and after reopening", count(totals.expected))
        } else {
            format!(
                "NOT CONSERVED: {} before, {} after, {} after reopening",
                count(totals.expected),
                count(totals.after),
                count(totals.reopened)
            )
        };
        let table = facts([
            ("commits", count(tally.commits)),
            ("commits/s", count(rate(tally.commits, self.elapsed))),
            ("attempts per commit", ratio(tally.attempts, tally.commits)),
            ("most attempts", count(tally.most_attempts.into())),
            ("admitted exclusively", count(tally.exclusive)),
            ("given up", count(tally.given_up)),
            ("waits at the gate", conflicts::gate(self.gate)),
            ("latency p50", duration(self.quantile(0.5))),
            ("latency p99", duration(self.quantile(0.99))),
            ("latency p99.9", duration(self.quantile(0.999))),
            ("latency max", duration(Duration::from_nanos(tally.latency.max()))),
            ("commits per sync", self.commits_per_sync.map_or_else(|| "-".to_owned(), |n| format!("{n:.2}"))),
            ("total", total),
        ]);
        let conflicts = conflicts::text(&self.conflicts);
        let below = if conflicts.is_empty() { conflicts } else { format!("\n{conflicts}") };
        format!("{}, {}\n\n{table}{below}", self.title, duration(self.elapsed))
    }

    pub(super) fn json(&self) -> Value {
        let tally = &self.tally;
        let micros = |d: Duration| d.as_nanos() as f64 / 1e3;
        json!({
            "run": self.title,
            "seconds": self.elapsed.as_secs_f64(),
            "commits": tally.commits,
            "commits_per_second": rate(tally.commits, self.elapsed),
            "attempts": tally.attempts,
            "most_attempts": tally.most_attempts,
            "admitted_exclusively": tally.exclusive,
            "given_up": tally.given_up,
            "latency_us": {
                "p50": micros(self.quantile(0.5)),
                "p99": micros(self.quantile(0.99)),
                "p99.9": micros(self.quantile(0.999)),
                "max": micros(Duration::from_nanos(tally.latency.max())),
            },
            "commits_per_sync": self.commits_per_sync,
            "conflicts": conflicts::json(&self.conflicts),
            "gate": conflicts::gate_json(self.gate),
            "total": {
                "expected": self.totals.expected,
                "after": self.totals.after,
                "reopened": self.totals.reopened,
                "conserved": self.totals.conserved(),
            },
        })
    }
}
