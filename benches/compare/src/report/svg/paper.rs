//! What a drawing is made of.

use std::fmt::Write as _;

use super::style::{STYLE, colour};

/// Where a text begins, or ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

#[derive(Clone, Debug)]
pub(in super::super) struct Paper {
    width: f64,
    height: f64,
    /// What it shows, for those who do not see it.
    label: String,
    body: String,
}

impl Paper {
    pub(super) fn new(width: f64, height: f64, label: &str) -> Self {
        Self { width, height, label: label.to_owned(), body: String::new() }
    }

    /// A file of its own.
    pub(in super::super) fn to_file(&self) -> String {
        self.wrap(
            &format!(" width=\"{}\" height=\"{}\"", self.width, self.height),
            &format!("<style>{STYLE}</style>\n"),
        )
    }

    /// A part of a page, which has [`STYLE`] already.
    pub(in super::super) fn to_inline(&self) -> String {
        self.wrap(&format!(" style=\"max-width:{}px\"", self.width), "")
    }

    fn wrap(&self, attributes: &str, style: &str) -> String {
        let Self { width, height, label, body } = self;
        let label = escape(label);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" viewBox=\"0 0 {width} {height}\"{attributes} \
             role=\"img\" aria-label=\"{label}\">\n{style}\
             <rect class=\"paper\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n{body}</svg>\n"
        )
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escape(text);
        self.add(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" class=\"{class}\">{text}</text>"
        ));
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        self.add(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
        ));
    }

    pub(super) fn path(&mut self, points: &[(f64, f64)], class: &str) {
        let points = join(points);
        self.add(format_args!("<polyline points=\"{points}\" class=\"{class}\"/>"));
    }

    pub(super) fn area(&mut self, points: &[(f64, f64)], class: &str) {
        let points = join(points);
        self.add(format_args!("<polygon points=\"{points}\" class=\"{class}\"/>"));
    }

    pub(super) fn bar(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        let width = width.max(0.5);
        self.add(format_args!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"1.5\" class=\"{class}\"/>"
        ));
    }

    /// The sign of an engine: each has its shape beside its colour. A hollow one is of polluted readings.
    pub(super) fn marker(&mut self, (x, y): (f64, f64), engine: usize, hollow: bool) {
        let colour = colour(engine);
        let class = if hollow { format!("hollow s{colour}") } else { format!("f{colour}") };
        let around =
            |corners: &[(f64, f64)]| corners.iter().map(|(dx, dy)| (x + dx, y + dy)).collect::<Vec<_>>();
        match colour {
            0 => self.circle((x, y), 4.5, &class),
            colour => match colour % 5 {
                1 => self.area(&around(&[(-3.0, -3.0), (3.0, -3.0), (3.0, 3.0), (-3.0, 3.0)]), &class),
                2 => self.area(&around(&[(0.0, -4.2), (4.0, 3.0), (-4.0, 3.0)]), &class),
                3 => self.area(&around(&[(0.0, -4.4), (4.4, 0.0), (0.0, 4.4), (-4.4, 0.0)]), &class),
                4 => self.area(&around(&[(0.0, 4.2), (4.0, -3.0), (-4.0, -3.0)]), &class),
                _ => self.circle((x, y), 3.3, &class),
            },
        }
    }

    fn circle(&mut self, (x, y): (f64, f64), radius: f64, class: &str) {
        self.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" class=\"{class}\"/>"));
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.body, "{element}");
    }
}

fn join(points: &[(f64, f64)]) -> String {
    let points: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    points.join(" ")
}

/// How wide a text of 12 px is, near enough to make room for it.
pub(super) fn width_of(text: &str) -> f64 {
    text.chars().count() as f64 * 6.9
}

pub(in super::super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // XML has no place for these, not even escaped.
            control if control.is_control() => escaped.push(' '),
            other => escaped.push(other),
        }
    }
    escaped
}
