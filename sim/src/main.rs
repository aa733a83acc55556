//! The command `braid-sim`.

use std::process::ExitCode;

use braid_sim::commands::Arguments;
use clap::Parser as _;

fn main() -> ExitCode {
    Arguments::parse().run()
}
