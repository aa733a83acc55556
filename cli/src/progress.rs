//! Progress on standard error: a live line on a terminal, plain lines or nothing elsewhere.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::output::printable;

/// A bar over `total` steps or bytes, drawn on a terminal only.
pub(crate) fn bar(total: u64, what: &'static str, bytes: bool) -> ProgressBar {
    let template = if bytes {
        "{msg} [{bar:32}] {bytes}/{total_bytes}, {bytes_per_sec}, {eta} left"
    } else {
        "{msg} [{bar:32}] {human_pos}/{human_len}, {eta} left"
    };
    ProgressBar::new(total).with_style(style(template)).with_message(what)
}

/// A line without an end in sight, drawn on a terminal only.
pub(crate) fn spinner(what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new_spinner().with_style(style("{spinner} {msg} {elapsed}")).with_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

/// A line that is told again and again: replaced in place on a terminal, one plain line each elsewhere.
#[derive(Debug)]
pub(crate) struct Ticker {
    live: Option<ProgressBar>,
}

impl Ticker {
    pub(crate) fn new() -> Self {
        let live = io::stderr()
            .is_terminal()
            .then(|| ProgressBar::new_spinner().with_style(style("{spinner} {msg}")));
        Self { live }
    }

    /// The same with more below it, which only a terminal shows.
    pub(crate) fn tell_with(&self, line: String, below: &str) {
        self.tell(if self.live.is_some() { line + below } else { line });
    }

    pub(crate) fn tell(&self, line: String) {
        match &self.live {
            Some(bar) => {
                bar.set_message(Cow::Owned(line));
                bar.tick();
            }
            None => note(&line),
        }
    }

    pub(crate) fn finish(self) {
        if let Some(bar) = self.live {
            bar.finish_and_clear();
        }
    }
}

/// One line on standard error. Nobody reading it is no reason to stop.
pub(crate) fn note(line: &str) {
    let _ = writeln!(io::stderr(), "{}", printable(line));
}
