//! Grids with their numbers.

use crate::report::format;

use super::paper::{Anchor, Paper};
use super::scale::Scale;

/// Where the curves are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) left: f64,
    pub(super) right: f64,
    pub(super) top: f64,
    pub(super) bottom: f64,
}

/// Lines across, each with its value at the left.
pub(super) fn across(paper: &mut Paper, field: Field, scale: &Scale, unit: &str) {
    for tick in scale.ticks() {
        let y = scale.at(tick);
        paper.line((field.left, y), (field.right, y), "grid");
        paper.text((field.left - 8.0, y + 4.0), Anchor::End, "tick", &format::value(tick, unit));
    }
    paper.line((field.left, field.bottom), (field.right, field.bottom), "axis");
}

/// Lines down, each with its value below; those whose values would touch have none.
pub(super) fn down(paper: &mut Paper, field: Field, scale: &Scale, unit: &str) {
    let mut free = f64::NEG_INFINITY;
    for tick in scale.ticks() {
        let (x, text) = (scale.at(tick), format::value(tick, unit));
        paper.line((x, field.top), (x, field.bottom), "grid");
        let half = text.chars().count() as f64 * 3.3 + 3.0;
        if x - half > free {
            paper.text((x, field.bottom + 14.0), Anchor::Middle, "tick", &text);
            free = x + half;
        }
    }
}
