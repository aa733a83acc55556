//! The report as a list of blocks, whatever it is written down in.

#[derive(Debug)]
pub(super) enum Block {
    Heading {
        level: u8,
        text: String,
    },
    Text(String),
    List(Vec<String>),
    Table(Table),
    /// Closed until somebody opens it.
    Details {
        summary: String,
        blocks: Vec<Block>,
    },
    Plot(Plot),
}

/// A drawing in a file of its own.
#[derive(Clone, Debug)]
pub(super) struct Plot {
    pub(super) file: String,
    /// What somebody is told who does not see it.
    pub(super) alt: String,
    pub(super) paper: super::svg::Paper,
}

/// The first column names the row; all others are numbers unless the table is of words.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<Entry>>,
    pub(super) words: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Entry {
    pub(super) text: String,
    /// Less important: the ratio, the ends of the spread.
    pub(super) note: String,
    pub(super) look: Look,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Look {
    #[default]
    Plain,
    Best,
    /// It does not count.
    Struck,
    /// Of something that went wrong, or is not there.
    Muted,
    Met,
    Missed,
}

impl Entry {
    pub(super) fn plain(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(super) fn new(text: impl Into<String>, look: Look) -> Self {
        Self { text: text.into(), look, ..Self::default() }
    }

    pub(super) fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: note.into(), ..self }
    }
}

pub(super) fn heading(level: u8, text: impl Into<String>) -> Block {
    Block::Heading { level, text: text.into() }
}
