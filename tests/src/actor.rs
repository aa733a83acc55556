//! A child process that does as its arguments say and tells what it has done, line by line, until it is killed.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{Builder, JoinHandle, park_timeout};
use std::time::Duration;

use braid::vfs::{Clock, RealClock};

/// A child that takes longer hangs.
const LONGEST_RUN: Duration = Duration::from_secs(60);

/// How a child is started: the program, what goes before its command, and the circumstances it is put into.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    before: Vec<OsString>,
    variables: Vec<(&'static str, OsString)>,
}

impl Program {
    /// A program that takes the commands of [`child::run`](crate::child::run) as its own.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), before: Vec::new(), variables: Vec::new() }
    }

    /// The same with arguments before the command.
    #[must_use]
    pub fn with_arguments(mut self, arguments: &[&str]) -> Self {
        self.before.extend(arguments.iter().map(OsString::from));
        self
    }

    /// The same with a variable in its environment.
    #[must_use]
    pub fn with_variable(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// The same, started by another program that is given its path and arguments: `unshare`, say, or `setpriv`.
    #[must_use]
    pub fn inside(self, program: &str, arguments: &[&str]) -> Self {
        let mut before: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        before.push(self.path.into());
        before.extend(self.before);
        Self { path: program.into(), before, variables: self.variables }
    }

    /// The same, once a shell has done `first`: `ulimit -n 64`, say.
    #[must_use]
    pub fn after_shell(self, first: &str) -> Self {
        self.inside("sh", &["-c", &format!("{first} && exec \"$@\""), "sh"])
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.before).envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// A running child. Dropping it kills it.
#[derive(Debug)]
pub struct Actor {
    child: Child,
    lines: Receiver<String>,
    listener: Option<JoinHandle<()>>,
}

/// How a child ended, and what it had said by then.
#[derive(Clone, Debug)]
pub struct Ended {
    /// Its lines.
    pub lines: Vec<String>,
    /// How.
    pub status: ExitStatus,
    /// What it said on the standard error: a panic, or the reason of an abort.
    pub complaint: String,
}

impl Actor {
    /// Starts `program` (the package's `actor` binary) with a command, the database and further arguments.
    ///
    /// # Panics
    /// When the process cannot be started.
    #[must_use]
    pub fn start(program: &str, command: &str, path: &Path, arguments: &[&str]) -> Self {
        Self::start_as(&Program::new(program), command, path, arguments)
    }

    /// The same in the circumstances that the program names.
    ///
    /// # Panics
    /// When the process cannot be started.
    #[must_use]
    pub fn start_as(program: &Program, command: &str, path: &Path, arguments: &[&str]) -> Self {
        Self::spawn(program, command, path, arguments, Stdio::inherit())
    }

    /// Starts a child and waits for its end. One that has not come to it in a minute is killed, which its status shows.
    ///
    /// # Panics
    /// When the process cannot be started or waited for.
    #[must_use]
    pub fn run(program: &Program, command: &str, path: &Path, arguments: &[&str]) -> Ended {
        let mut actor = Self::spawn(program, command, path, arguments, Stdio::piped());
        drop(actor.child.stdin.take());
        let stderr = actor.child.stderr.take().expect("the child's complaints were asked for");
        let listen = move || {
            let mut complaint = Vec::new();
            // Bytes that cannot be read are a complaint less.
            let _ = BufReader::new(stderr).read_to_end(&mut complaint);
            String::from_utf8_lossy(&complaint).into_owned()
        };
        let listener = Builder::new().name("listener".into()).spawn(listen).expect("a thread can be started");
        let clock = RealClock::new();
        let status = loop {
            if let Some(status) = actor.child.try_wait().expect("the child can be waited for") {
                break status;
            }
            if clock.now() > LONGEST_RUN {
                // It may just have ended.
                let _ = actor.child.kill();
            }
            park_timeout(Duration::from_millis(2));
        };
        let complaint = listener.join().expect("the listener has nothing to panic at");
        Ended { lines: actor.rest(), status, complaint }
    }

    fn spawn(program: &Program, command: &str, path: &Path, arguments: &[&str], stderr: Stdio) -> Self {
        let child = program
            .command()
            .arg(command)
            .arg(path)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn();
        let mut child = child.expect("a child process can be started");
        let stdout = child.stdout.take().expect("the child's output was asked for");
        let (sender, lines) = channel();
        let listen = move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            while stdout.read_line(&mut line).is_ok_and(|bytes| bytes > 0) {
                // A line without an end is one that a kill cut short.
                let Some(whole) = line.strip_suffix('\n') else { break };
                if sender.send(whole.to_owned()).is_err() {
                    break;
                }
                line.clear();
            }
        };
        let listener = Builder::new().name("listener".into()).spawn(listen);
        Self { child, lines, listener: Some(listener.expect("a thread can be started")) }
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its next line; `None` once it is gone.
    pub fn line(&mut self) -> Option<String> {
        self.lines.recv().ok()
    }

    /// Ends its input, which tells it to come to its end.
    pub fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Kills it as `kill -9` does, and returns the lines that it had printed by then and nobody has read.
    ///
    /// # Panics
    /// When it cannot be killed.
    #[must_use]
    pub fn kill(mut self) -> Vec<String> {
        self.child.kill().expect("the child can be killed");
        self.child.wait().expect("the child can be waited for");
        self.rest()
    }

    /// Lets it end by itself, which it does once its input ends, and returns whether it said that all was well.
    ///
    /// # Panics
    /// When it cannot be waited for.
    #[must_use]
    pub fn finish(self) -> bool {
        self.finish_lines().1
    }

    /// The same with the lines that nobody has read.
    ///
    /// # Panics
    /// When it cannot be waited for.
    #[must_use]
    pub fn finish_lines(mut self) -> (Vec<String>, bool) {
        self.end_input();
        let rest = self.rest();
        (rest, self.child.wait().expect("the child can be waited for").success())
    }

    fn rest(&mut self) -> Vec<String> {
        let rest = self.lines.iter().collect();
        if let Some(listener) = self.listener.take() {
            listener.join().expect("the listener has nothing to panic at");
        }
        rest
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // It may be gone already, and then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
