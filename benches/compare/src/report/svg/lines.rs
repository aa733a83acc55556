//! Curves: one for each engine, named at its end, over a few stops along the bottom (numbers of threads, percentiles).
//!
//! Whiskers, and for our engine a band, go from the least to the most; the curve goes through the medians.

use braid_measure::Spread;

use crate::report::format;

use super::axis::{Field, across};
use super::labels::spread_apart;
use super::paper::{Anchor, Paper, width_of};
use super::scale::Scale;
use super::style::colour;

#[derive(Debug)]
pub(in super::super) struct LineChart {
    pub(in super::super) title: String,
    pub(in super::super) note: String,
    /// What the stops are.
    pub(in super::super) bottom: String,
    pub(in super::super) unit: String,
    pub(in super::super) stops: Vec<Stop>,
    pub(in super::super) series: Vec<Series>,
    /// By ratios, whatever the values.
    pub(in super::super) log: bool,
    /// Who is not there, and why.
    pub(in super::super) absent: String,
}

#[derive(Debug)]
pub(in super::super) struct Stop {
    pub(in super::super) text: String,
    /// From 0, the left end, to 1.
    pub(in super::super) place: f64,
}

#[derive(Debug)]
pub(in super::super) struct Series {
    pub(in super::super) engine: usize,
    pub(in super::super) name: String,
    /// It does not count.
    pub(in super::super) struck: bool,
    pub(in super::super) points: Vec<Point>,
}

#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Point {
    pub(in super::super) stop: usize,
    pub(in super::super) spread: Spread,
    /// Of polluted readings.
    pub(in super::super) hollow: bool,
}

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LABEL_GAP: f64 = 15.0;

impl LineChart {
    pub(in super::super) fn draw(&self) -> Paper {
        let labels: Vec<_> = self.series.iter().map(|series| self.label(series)).collect();
        let room = labels.iter().map(|label| width_of(label)).fold(60.0, f64::max) + 34.0;
        let foot = if self.absent.is_empty() { 0.0 } else { 18.0 };
        let field = Field { left: 66.0, right: WIDTH - room, top: 66.0, bottom: HEIGHT - 46.0 };
        let mut paper = Paper::new(WIDTH, HEIGHT + foot, &format!("{}: {}", self.title, self.note));
        paper.text((16.0, 26.0), Anchor::Start, "title", &self.title);
        paper.text((16.0, 44.0), Anchor::Start, "note", &self.note);
        if !self.absent.is_empty() {
            paper.text((16.0, HEIGHT + 6.0), Anchor::Start, "note", &self.absent);
        }

        let scale = self.scale(field);
        across(&mut paper, field, &scale, &self.unit);
        for stop in &self.stops {
            let x = self.x(stop, field);
            paper.line((x, field.bottom), (x, field.bottom + 4.0), "axis");
            paper.text((x, field.bottom + 17.0), Anchor::Middle, "tick", &stop.text);
        }
        let middle = f64::midpoint(field.left, field.right);
        paper.text((middle, field.bottom + 35.0), Anchor::Middle, "note", &self.bottom);

        // Ours last: above all others.
        for series in self.series.iter().rev() {
            self.curve(&mut paper, field, &scale, series);
        }
        self.names(&mut paper, field, &scale, &labels);
        paper
    }

    fn scale(&self, field: Field) -> Scale {
        let spreads = self.series.iter().flat_map(|series| &series.points).map(|point| point.spread);
        let values: Vec<_> = spreads.flat_map(|spread| [spread.least, spread.median, spread.most]).collect();
        let places = (field.bottom, field.top);
        if self.log { Scale::fit_log(&values, places) } else { Scale::fit(&values, places) }
    }

    /// Stops are a little inside of the field, so that whiskers are not on the axis.
    fn x(&self, stop: &Stop, field: Field) -> f64 {
        field.left + 22.0 + stop.place * (field.right - field.left - 34.0)
    }

    fn point(&self, point: Point, field: Field, scale: &Scale) -> Option<(f64, f64)> {
        let stop = self.stops.get(point.stop)?;
        Some((self.x(stop, field), scale.at(point.spread.median)))
    }

    fn curve(&self, paper: &mut Paper, field: Field, scale: &Scale, series: &Series) {
        let colour = colour(series.engine);
        let places: Vec<_> = series
            .points
            .iter()
            .filter_map(|point| Some((*point, self.point(*point, field, scale)?)))
            .collect();
        if series.engine == 0 {
            let upper = places.iter().map(|(point, (x, _))| (*x, scale.at(point.spread.most)));
            let lower = places.iter().rev().map(|(point, (x, _))| (*x, scale.at(point.spread.least)));
            paper.area(&upper.chain(lower).collect::<Vec<_>>(), &format!("band f{colour}"));
        }
        // Whiskers of different engines stand beside each other.
        let aside = if series.engine == 0 { 0.0 } else { (series.engine as f64 - 5.5) * 1.3 };
        for (point, (x, _)) in &places {
            let (low, high) = (scale.at(point.spread.least), scale.at(point.spread.most));
            if (low - high).abs() > 1.5 {
                paper.line((x + aside, low), (x + aside, high), &format!("whisker s{colour}"));
            }
        }
        let ours = if series.engine == 0 { " ours" } else { "" };
        let struck = if series.struck { " struck" } else { "" };
        let curve: Vec<_> = places.iter().map(|(_, place)| *place).collect();
        paper.path(&curve, &format!("line s{colour}{ours}{struck}"));
        for (point, place) in &places {
            paper.marker(*place, series.engine, point.hollow || series.struck);
        }
    }

    fn names(&self, paper: &mut Paper, field: Field, scale: &Scale, labels: &[String]) {
        let ends: Vec<_> = self
            .series
            .iter()
            .zip(labels)
            .filter_map(|(series, label)| {
                let last = *series.points.last()?;
                Some((series, label, self.point(last, field, scale)?))
            })
            .collect();
        let wanted: Vec<_> = ends.iter().map(|(_, _, (_, y))| *y).collect();
        let places = spread_apart(&wanted, LABEL_GAP, (field.top - 6.0, field.bottom));
        for ((series, label, (x, y)), place) in ends.into_iter().zip(places) {
            let colour = colour(series.engine);
            let ours = if series.engine == 0 { " ours" } else { "" };
            paper.path(
                &[(x + 6.0, y), (field.right + 4.0, y), (field.right + 14.0, place)],
                &format!("line leader s{colour}"),
            );
            paper.text((field.right + 18.0, place + 4.0), Anchor::Start, &format!("f{colour}{ours}"), label);
        }
    }

    /// The name and the last value.
    fn label(&self, series: &Series) -> String {
        let value = series.points.last().map(|point| format::value(point.spread.median, &self.unit));
        let struck = if series.struck { " (unranked)" } else { "" };
        format!("{} {}{struck}", series.name, value.unwrap_or_default())
    }
}
