//! Running the command as a user does: a process, its two outputs, its exit code.

#![allow(dead_code, unreachable_pub, reason = "each test uses its own part")]
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "it is all test code")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A finished run.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The command, with nothing on its standard input.
pub fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braid"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the command to its end. Whatever happens, it must neither panic nor die of a signal, and its outputs, which are no
/// terminal, must hold no control characters.
pub fn braid(args: &[&str]) -> Run {
    finish(command(args).output().unwrap())
}

/// What came of a process.
pub fn finish(output: std::process::Output) -> Run {
    let run = Run {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    assert!(!run.stderr.contains("panicked"), "{run:?}");
    assert!(output.status.code().is_some(), "died of a signal: {run:?}");
    let plain = |text: &str| !text.chars().any(|c| c.is_control() && c != '\n');
    assert!(plain(&run.stdout) && plain(&run.stderr), "control characters: {run:?}");
    run
}

impl Run {
    /// Asserts the exit code.
    #[track_caller]
    pub fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, expected, "{self:?}");
        self
    }

    /// Asserts a failure: its code, one line that says what, and a hint; nothing on standard output.
    #[track_caller]
    pub fn fails(self, expected: i32, says: &str) -> Self {
        let run = self.code(expected);
        assert_eq!(run.stdout, "", "{run:?}");
        let lines: Vec<_> = run.stderr.lines().collect();
        assert!(
            lines.first().is_some_and(|line| line.starts_with("braid: ") && line.contains(says)),
            "{run:?}"
        );
        assert!(lines.len() == 2 && lines[1].starts_with("hint: "), "{run:?}");
        run
    }

    /// The JSON that was printed.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// What stands behind a name in a list of facts.
    #[track_caller]
    pub fn fact(&self, name: &str) -> &str {
        let found = self.stdout.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("  "));
        found.unwrap_or_else(|| panic!("no `{name}` in {self:?}")).trim()
    }
}

/// A folder of its own for a test.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The same as text for a command line.
    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file and returns its path.
    pub fn file(&self, name: &str, contents: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), contents).unwrap();
        self.arg(name)
    }

    /// The names in it, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.0.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A database that `braid load` made of rows `0..rows`, in table `t`.
    pub fn database(&self, name: &str, rows: usize) -> String {
        let csv: String = (0..rows).map(|i| format!("{i:06},value of {i}\n")).collect();
        let csv = self.file("rows.csv", format!("id,text\n{csv}"));
        braid(&["load", &self.arg(name), &csv, "--table", "t", "--key", "id"]).code(0);
        self.arg(name)
    }
}

/// The airports that the tests ship.
pub fn airports() -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/airports.csv").to_str().unwrap().to_owned()
}

/// Every row of a table as it is dumped.
pub fn dump(db: &str, table: &str) -> String {
    braid(&["dump", db, "--table", table]).code(0).stdout
}
