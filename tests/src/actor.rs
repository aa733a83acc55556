//! A child process that does as its arguments say and tells what it has done, line by line, until it is killed.

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Actor {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Actor {
    /// Starts `program` (the package's `actor` binary) with a command, the database and further arguments.
    ///
    /// # Panics
    /// When the process cannot be started.
    #[must_use]
    pub fn start(program: &str, command: &str, path: &Path, arguments: &[&str]) -> Self {
        let child = Command::new(program)
            .arg(command)
            .arg(path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut child = child.expect("a child process can be started");
        let stdout = child.stdout.take().expect("the child's output was asked for");
        Self { child, lines: BufReader::new(stdout).lines() }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its next line; `None` once it is gone.
    ///
    /// # Panics
    /// When what it prints cannot be read.
    pub fn line(&mut self) -> Option<String> {
        self.lines.next().map(|line| line.expect("the child's output can be read"))
    }

    /// Kills it as `kill -9` does, and returns the lines that it had printed by then.
    ///
    /// # Panics
    /// When it cannot be killed.
    #[must_use]
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("the child can be killed");
        let rest = std::iter::from_fn(|| self.line()).collect();
        self.child.wait().expect("the child can be waited for");
        rest
    }

    /// Lets it end by itself, which it does once its input ends, and returns whether it said that all was well.
    ///
    /// # Panics
    /// When it cannot be waited for.
    #[must_use]
    pub fn finish(mut self) -> bool {
        drop(self.child.stdin.take());
        while self.line().is_some() {}
        self.child.wait().expect("the child can be waited for").success()
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // It may be gone already, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
