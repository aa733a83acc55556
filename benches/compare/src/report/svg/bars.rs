//! Bars, the best at the top; where values span too much for bars, whose length would tell nothing, dots on a scale of
//! ratios. One panel for each cell and metric.

use braid_measure::Spread;

use crate::report::format;

use super::axis::{Field, down};
use super::paper::{Anchor, Paper, width_of};
use super::scale::Scale;
use super::style::colour;

#[derive(Debug)]
pub(in super::super) struct BarChart {
    pub(in super::super) title: String,
    pub(in super::super) note: String,
    pub(in super::super) panels: Vec<Panel>,
}

#[derive(Debug)]
pub(in super::super) struct Panel {
    pub(in super::super) title: String,
    pub(in super::super) note: String,
    pub(in super::super) unit: String,
    /// From the top down.
    pub(in super::super) bars: Vec<Bar>,
    /// Who has no bar, and why.
    pub(in super::super) absent: Vec<(String, String)>,
}

#[derive(Debug)]
pub(in super::super) struct Bar {
    pub(in super::super) engine: usize,
    pub(in super::super) name: String,
    pub(in super::super) spread: Spread,
    /// It does not count.
    pub(in super::super) struck: bool,
    /// Of polluted readings.
    pub(in super::super) hollow: bool,
}

const WIDTH: f64 = 760.0;
const ROW: f64 = 19.0;
const HEAD: f64 = 40.0;
const FOOT: f64 = 36.0;

impl BarChart {
    pub(in super::super) fn draw(&self) -> Paper {
        let columns = self.panels.len().clamp(1, 2);
        let rows: Vec<_> = self.panels.chunks(columns).collect();
        let height = |row: &[Panel]| row.iter().map(Panel::height).fold(0.0, f64::max);
        let total: f64 = rows.iter().map(|row| height(row)).sum();
        let mut paper = Paper::new(WIDTH, 62.0 + total, &format!("{}: {}", self.title, self.note));
        paper.text((16.0, 26.0), Anchor::Start, "title", &self.title);
        paper.text((16.0, 44.0), Anchor::Start, "note", &self.note);
        let mut top = 56.0;
        for row in rows {
            for (column, panel) in row.iter().enumerate() {
                let width = (WIDTH - 32.0) / columns as f64;
                panel.draw(&mut paper, 16.0 + column as f64 * width, top, width - 8.0);
            }
            top += height(row);
        }
        paper
    }
}

impl Panel {
    fn height(&self) -> f64 {
        HEAD + (self.bars.len() + self.absent.len()) as f64 * ROW + FOOT
    }

    fn draw(&self, paper: &mut Paper, left: f64, top: f64, width: f64) {
        paper.text((left, top + 14.0), Anchor::Start, "panel", &self.title);
        paper.text((left, top + 29.0), Anchor::Start, "note", &self.note);
        let names = self.bars.iter().map(|bar| &bar.name).chain(self.absent.iter().map(|(name, _)| name));
        let names = names.map(|name| width_of(name)).fold(40.0, f64::max) + 10.0;
        let values = self.bars.iter().map(|bar| width_of(&self.label(bar))).fold(30.0, f64::max) + 12.0;
        let bottom = top + HEAD + self.bars.len() as f64 * ROW;
        let field = Field { left: left + names, right: left + width - values, top: top + HEAD - 4.0, bottom };
        let spreads = self.bars.iter().map(|bar| bar.spread);
        let all: Vec<_> = spreads.flat_map(|spread| [spread.least, spread.median, spread.most]).collect();
        let scale = Scale::fit(&all, (field.left, field.right));
        if !self.bars.is_empty() {
            down(paper, field, &scale, &self.unit);
            paper.line((field.left, field.top), (field.left, field.bottom), "axis");
        }
        for (row, bar) in self.bars.iter().enumerate() {
            self.bar(paper, field, &scale, bar, top + HEAD + (row as f64 + 0.5) * ROW - 2.0);
        }
        for (row, (name, why)) in self.absent.iter().enumerate() {
            let y = bottom + 24.0 + (row as f64 + 0.5) * ROW;
            paper.text((field.left - 8.0, y), Anchor::End, "note", name);
            paper.text((field.left + 6.0, y), Anchor::Start, "note", why);
        }
    }

    fn bar(&self, paper: &mut Paper, field: Field, scale: &Scale, bar: &Bar, y: f64) {
        let colour = colour(bar.engine);
        let ours = if bar.engine == 0 { " ours" } else { "" };
        let median = scale.at(bar.spread.median);
        let (low, high) = (scale.at(bar.spread.least), scale.at(bar.spread.most));
        paper.text((field.left - 8.0, y + 4.0), Anchor::End, &format!("f{colour}{ours}"), &bar.name);
        if scale.is_log() {
            paper.line((field.left, y), (median, y), &format!("leader s{colour}"));
            paper.line((low, y), (high, y), &format!("whisker s{colour}"));
            paper.marker((median, y), bar.engine, bar.hollow || bar.struck);
        } else {
            // A bar with no filling is one that does not count, or not fully.
            let hollow = if bar.struck || bar.hollow { " struck" } else { "" };
            let class = format!("bar f{colour} s{colour}{ours}{hollow}");
            let class = if hollow.is_empty() { format!("bar f{colour}{ours}") } else { class };
            paper.bar((field.left, y - 6.0), (median - field.left, 12.0), &class);
            if high - low > 1.5 {
                paper.line((low, y), (high, y), "axis");
                paper.line((low, y - 2.5), (low, y + 2.5), "axis");
                paper.line((high, y - 2.5), (high, y + 2.5), "axis");
            }
        }
        paper.text((median.max(high) + 8.0, y + 4.0), Anchor::Start, ours.trim(), &self.label(bar));
    }

    fn label(&self, bar: &Bar) -> String {
        let value = format::value(bar.spread.median, &self.unit);
        if bar.struck { format!("{value} (unranked)") } else { value }
    }
}
