//! Plots, drawn in plain SVG: text beside what it names instead of legends, a light grid, our engine in the one strong
//! colour, and a background of their own that follows the reader's choice of light or dark.

mod axis;
mod bars;
mod labels;
mod lead;
mod lines;
mod paper;
mod scale;
mod style;

pub(super) use bars::{Bar, BarChart, Panel};
pub(super) use lead::{Lead, LeadChart};
pub(super) use lines::{LineChart, Point, Series, Stop};
pub(super) use paper::{Paper, escape};
pub(super) use style::STYLE;
