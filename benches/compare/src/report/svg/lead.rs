//! All cells at one look: how many times better ours is than the best of the others, a row for each.

use crate::report::format;

use super::axis::Field;
use super::paper::{Anchor, Paper, width_of};
use super::scale::Scale;

#[derive(Debug)]
pub(in super::super) struct LeadChart {
    pub(in super::super) title: String,
    pub(in super::super) note: String,
    pub(in super::super) leads: Vec<Lead>,
}

#[derive(Debug)]
pub(in super::super) struct Lead {
    /// Rows of a group stand together.
    pub(in super::super) group: String,
    pub(in super::super) cell: String,
    /// 2 is twice the rate, or half the time.
    pub(in super::super) ratio: f64,
    /// The best of the others.
    pub(in super::super) rival: String,
    /// One of the two figures is of polluted readings.
    pub(in super::super) hollow: bool,
}

const WIDTH: f64 = 760.0;
const ROW: f64 = 17.0;
const GROUP_GAP: f64 = 8.0;
const TOP: f64 = 84.0;
/// Room for a ratio at the right.
const RATIO: f64 = 60.0;

impl LeadChart {
    pub(in super::super) fn draw(&self) -> Paper {
        let names = self.leads.iter().map(|lead| width_of(&lead.cell)).fold(60.0, f64::max) + 30.0;
        let labels = self.leads.iter().map(|lead| width_of(&lead.rival)).fold(60.0, f64::max) + RATIO + 24.0;
        let rows = self.rows();
        let bottom = rows.last().map_or(TOP, |y| y + ROW / 2.0 + 4.0);
        let field = Field { left: names, right: WIDTH - labels, top: TOP, bottom };
        let mut paper = Paper::new(WIDTH, bottom + 18.0, &format!("{}: {}", self.title, self.note));
        paper.text((16.0, 26.0), Anchor::Start, "title", &self.title);
        paper.text((16.0, 44.0), Anchor::Start, "note", &self.note);

        let ratios: Vec<_> = self.leads.iter().map(|lead| lead.ratio).collect();
        let scale = Scale::around_one(&ratios, (field.left, field.right));
        let mut free = f64::NEG_INFINITY;
        for tick in scale.ticks() {
            let (x, text) = (scale.at(tick), format!("×{}", format::short(tick)));
            let even = tick == 1.0;
            paper.line((x, field.top), (x, field.bottom), if even { "even" } else { "grid" });
            let half = width_of(&text) / 2.0 + 3.0;
            if x - half > free {
                paper.text((x, field.top - 6.0), Anchor::Middle, "tick", &text);
                free = x + half;
            }
        }
        for (lead, y) in self.leads.iter().zip(rows) {
            let (one, x) = (scale.at(1.0), scale.at(lead.ratio));
            let colour = if lead.ratio >= 1.0 { 0 } else { BEHIND };
            paper.text((field.left - 12.0, y + 4.0), Anchor::End, "", &lead.cell);
            paper.line((one, y), (x, y), &format!("stem s{colour}"));
            paper.marker((x, y), colour, lead.hollow);
            let class = if lead.ratio >= 1.0 { "f0 ours" } else { "f5 ours" };
            let ratio = format::times(lead.ratio);
            paper.text((field.right + RATIO, y + 4.0), Anchor::End, class, &ratio);
            paper.text((field.right + RATIO + 8.0, y + 4.0), Anchor::Start, "", &lead.rival);
        }
        paper
    }

    /// The middle of each row.
    fn rows(&self) -> Vec<f64> {
        let mut y = TOP + 4.0;
        let mut before: Option<&str> = None;
        let rows = self.leads.iter().map(|lead| {
            if before.is_some_and(|group| group != lead.group) {
                y += GROUP_GAP;
            }
            before = Some(&lead.group);
            y += ROW;
            y - ROW / 2.0
        });
        rows.collect()
    }
}

/// The colour of cells that others lead in: a round marker in grey.
const BEHIND: usize = 5;
