//! The command.

use std::path::{Path, PathBuf};

use crate::engine::Result;

use super::compose::{TITLE, compose};
use super::document::{Block, Plot};
use super::read::Input;
use super::summary::Summary;
use super::{html, markdown};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A directory that a run wrote; several are read as one.
    #[arg(long, required = true, num_args = 1..)]
    from: Vec<PathBuf>,
    /// Where the report goes.
    #[arg(long)]
    out: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut input = Input::default();
    for dir in &arguments.from {
        input.add(dir)?;
    }
    write(&input, &arguments.out)
}

pub(super) fn write(input: &Input, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
    let blocks = compose(input, &Summary::of(input));
    for plot in plots(&blocks) {
        file(&out.join(&plot.file), &plot.paper.to_file())?;
    }
    file(&out.join("README.md"), &markdown::write(&blocks))?;
    file(&out.join("report.html"), &html::write(TITLE, &blocks))?;
    readings(input, &out.join("results.csv"))
}

pub(super) fn plots(blocks: &[Block]) -> Vec<&Plot> {
    let plots = blocks.iter().map(|block| match block {
        Block::Plot(plot) => vec![plot],
        Block::Details { blocks, .. } => plots(blocks),
        _ => Vec::new(),
    });
    plots.flatten().collect()
}

fn file(path: &Path, text: &str) -> Result<()> {
    Ok(std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))?)
}

fn readings(input: &Input, path: &Path) -> Result<()> {
    let mut writer = csv::Writer::from_path(path)?;
    for reading in &input.readings {
        writer.serialize(reading)?;
    }
    Ok(writer.flush()?)
}
