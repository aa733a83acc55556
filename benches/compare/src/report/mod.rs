//! What was measured, told: tables with ratios, plots, and whether the targets are met.
//!
//! [`read`] takes in what the runner wrote, [`summary`] makes medians and ratios of it, [`judge`] holds them against
//! the [`targets`], [`plots`] draws them with [`svg`], and [`compose`] puts everything in order. [`markdown`] and
//! [`html`] only write that down, so the two say the same.

mod compose;
mod document;
mod format;
mod html;
mod judge;
mod markdown;
mod plots;
mod ratio;
mod read;
mod run;
#[cfg(test)]
mod sample;
mod summary;
mod svg;
mod targets;
#[cfg(test)]
mod tests;

pub(crate) use run::{Arguments, run};
