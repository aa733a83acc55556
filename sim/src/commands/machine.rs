//! `braid-sim machine`: the real machine. See [`crate::machine`].

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};

use crate::jobs::default_jobs;
use crate::machine;

/// Kills, fills and exhausts the real machine under a database.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Kills a child that commits, reopens its database, goes on with it
    Kill {
        /// How often
        #[arg(long, default_value_t = 500)]
        cycles: u64,
        /// Writer threads of the child
        #[arg(long, default_value_t = 4)]
        threads: usize,
        /// Where the moments of the kills come from
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Databases that are worked on at the same time
        #[arg(long, default_value_t = default_jobs())]
        jobs: usize,
    },
    /// Lets calls of the system fail one by one, fills disks, uses up descriptors, memory and file lengths
    Faults {
        /// Try the first so many calls of each kind one by one, and later ones in growing strides
        #[arg(long, default_value_t = 24)]
        each: u64,
        /// Only trials whose name begins so: `sync,.seg`, `disk`, `descriptors`, `memory,20480k`, `file-size`, ...
        #[arg(long)]
        only: Option<String>,
        /// Children that run at the same time
        #[arg(long, default_value_t = default_jobs())]
        jobs: usize,
    },
    /// Mixed work for a while; memory and files must stop growing
    Soak {
        /// How long
        #[arg(long, default_value_t = 60)]
        seconds: u64,
        /// Writer threads
        #[arg(long, default_value_t = 4)]
        writers: usize,
    },
    /// Is the child of the other commands
    #[command(hide = true)]
    Child {
        /// See `braid_tests::child`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
}

impl Arguments {
    /// Does what was asked.
    #[must_use]
    pub(super) fn run(self) -> ExitCode {
        match self.command {
            Command::Kill { cycles, threads, seed, jobs } => machine::kill(cycles, threads, seed, jobs),
            Command::Faults { each, only, jobs } => machine::faults(each, only.as_deref(), jobs),
            Command::Soak { seconds, writers } => machine::soak(Duration::from_secs(seconds), writers),
            Command::Child { arguments } => braid_tests::child::run(&arguments),
        }
    }
}
