//! The readings of all rounds, as a table in Markdown and as CSV.

use std::fmt::Write as _;

use braid_measure::machine::DISTURBED;
use braid_measure::{Spread, number};

use crate::cell::Reading;

/// One metric of one cell over all rounds.
#[derive(Debug)]
struct Row {
    cell: &'static str,
    metric: String,
    unit: String,
    values: Vec<f64>,
    /// The share of the machine that others used, a round each.
    others: Vec<f64>,
}

/// Everything that was measured.
#[derive(Debug, Default)]
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    /// Takes the readings of one cell in one round.
    pub(crate) fn add(&mut self, cell: &'static str, readings: Vec<Reading>, others: f64) {
        for Reading { metric, value, unit } in readings {
            let index = self.rows.iter().position(|row| row.cell == cell && row.metric == metric);
            let index = index.unwrap_or_else(|| {
                // A cell's metrics stay together, in the order of their first round.
                let place = self
                    .rows
                    .iter()
                    .rposition(|row| row.cell == cell)
                    .map_or(self.rows.len(), |last| last + 1);
                self.rows.insert(place, Row { cell, metric, unit, values: Vec::new(), others: Vec::new() });
                place
            });
            if let Some(row) = self.rows.get_mut(index) {
                row.values.push(value);
                row.others.push(others);
            }
        }
    }

    pub(crate) fn markdown(&self) -> String {
        let mut text =
            "| cell | metric | median | least – most | unit | others |\n|---|---|--:|--:|---|--:|\n"
                .to_owned();
        let mut last = "";
        for row in &self.rows {
            let (Some(values), Some(others)) = (Spread::of(&row.values), Spread::of(&row.others)) else {
                continue;
            };
            let cell = if row.cell == last { "" } else { row.cell };
            last = row.cell;
            let mark = if others.median > DISTURBED { " ⚠" } else { "" };
            let _ = writeln!(
                text,
                "| {cell} | {} | {} | {} – {} | {} | {:.0} %{mark} |",
                row.metric,
                number(values.median),
                number(values.least),
                number(values.most),
                row.unit,
                others.median * 100.0,
            );
        }
        text
    }

    pub(crate) fn csv(&self) -> String {
        let mut text = "cell,metric,unit,round,value,others\n".to_owned();
        for row in &self.rows {
            for (round, (value, others)) in row.values.iter().zip(&row.others).enumerate() {
                let _ = writeln!(
                    text,
                    "{},\"{}\",{},{},{value},{others:.4}",
                    row.cell,
                    row.metric,
                    row.unit,
                    round + 1
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_become_one_row_and_disturbance_is_marked() {
        let reading = |metric: &str, value| Reading { metric: metric.into(), value, unit: "1/s".into() };
        let mut report = Report::default();
        report.add("one", vec![reading("a", 1.0), reading("b", 5.0)], 0.0);
        report.add("two", vec![reading("a", 7.0)], 0.5);
        report.add("one", vec![reading("a", 3.0), reading("b", 5.0)], 0.0);
        let table = report.markdown();
        let rows: Vec<_> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| one | a | 2 | 1 – 3 | 1/s | 0 % |",
                "|  | b | 5 | 5 – 5 | 1/s | 0 % |",
                "| two | a | 7 | 7 – 7 | 1/s | 50 % ⚠ |",
            ]
        );
        assert_eq!(report.csv().lines().count(), 6);
    }
}
