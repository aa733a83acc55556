//! One run of something that tests the engine, with a bug or without.

use std::fmt;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use braid::vfs::Env;

use super::build::Program;

/// Some bugs hang: what takes longer than this, many times what any run needs, has found one.
const LIMIT: Duration = Duration::from_secs(240);
/// How a command ends that does not understand its arguments.
const USAGE: i32 = 2;
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Something that tests the engine.
#[derive(Clone, Debug)]
pub struct Arm {
    /// As [`known`](super::known) writes it.
    line: String,
    path: PathBuf,
    folder: Option<PathBuf>,
    arguments: Vec<String>,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All was well.
    Passed,
    /// Something was found: the tests that failed, or the seed.
    Failed(Vec<String>),
    /// The limit passed.
    Hung,
}

impl Arm {
    /// A test program with the tests whose names contain `filter`.
    #[must_use]
    pub fn test(program: &Program, filter: &str) -> Self {
        let mut arguments = vec!["--test-threads=2".to_owned()];
        arguments.extend((!filter.is_empty()).then(|| filter.to_owned()));
        Self {
            line: format!("{} {filter}", program.name).trim_end().to_owned(),
            path: program.path.clone(),
            folder: Some(program.folder.clone()),
            arguments,
        }
    }

    /// A command of `braid-sim`.
    #[must_use]
    pub fn machine(program: &Path, arguments: &str) -> Self {
        Self {
            line: format!("sim {arguments}"),
            path: program.to_path_buf(),
            folder: None,
            arguments: arguments.split_whitespace().map(str::to_owned).collect(),
        }
    }

    /// Runs it with a bug, or with none.
    ///
    /// # Errors
    /// When it cannot be run at all.
    pub fn run(&self, bug: Option<&str>) -> Result<Verdict, String> {
        let failed = |error| format!("`{self}` cannot be run: {error}");
        let mut output = tempfile::tempfile().map_err(failed)?;
        let mut command = Command::new(&self.path);
        command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output.try_clone().map_err(failed)?)
            .env_remove("BRAID_PLANTED");
        command.envs(bug.map(|bug| ("BRAID_PLANTED", bug)));
        if let Some(folder) = &self.folder {
            command.current_dir(folder);
        }
        let mut child = command.spawn().map_err(failed)?;
        let status = wait(&mut child).map_err(failed)?;
        let mut said = Vec::new();
        output.seek(SeekFrom::Start(0)).map_err(failed)?;
        output.read_to_end(&mut said).map_err(failed)?;
        Ok(match status {
            None => Verdict::Hung,
            Some(status) if status.success() => Verdict::Passed,
            Some(status) if status.code() == Some(USAGE) => {
                return Err(format!("`{self}` is no command line: {}", String::from_utf8_lossy(&said)));
            }
            Some(status) => Verdict::Failed(failures(&String::from_utf8_lossy(&said), status)),
        })
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// Waits for the end; `None` when it took too long and was ended.
fn wait(child: &mut Child) -> std::io::Result<Option<ExitStatus>> {
    let clock = Env::real().clock;
    let began = clock.now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if clock.now().saturating_sub(began) > LIMIT {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

/// What failed, from the words of a test program or of a command; else how the process ended.
fn failures(said: &str, status: ExitStatus) -> Vec<String> {
    let tests = said.lines().filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"));
    let mut failed: Vec<_> = tests.map(|test| test.trim_end_matches(" - should panic").to_owned()).collect();
    if failed.is_empty() {
        failed.extend(said.lines().filter_map(seed).min().map(|seed| format!("seed {seed}")));
    }
    if failed.is_empty() {
        failed.push(status.to_string());
    }
    failed
}

/// The seed in `seed 17: what is wrong`, or in `seed 17 fails: …`.
fn seed(line: &str) -> Option<u64> {
    let (word, rest) = line.split_once(' ')?;
    let number = rest.split([':', ' ']).next()?;
    matches!(word, "seed" | "case").then(|| number.parse().ok()).flatten()
}
