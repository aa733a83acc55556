//! The build that holds the bugs, and what there is in it to run.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Arm;

/// What turns the bugs on. Debug assertions come with the profile; without them the build fails.
const FLAGS: &str = "--cfg braid_planted";
const PROFILE: &str = "planted";
/// Measurements, the program, and the tests of the proofs: none is there to find a bug of the engine.
const LEFT_OUT: [&str; 3] = ["braid-benches", "braid-cli", "braid-sim"];

/// A planted bug, as the build names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bug {
    /// The name that `BRAID_PLANTED` takes.
    pub name: String,
    /// What is wrong.
    pub mistake: String,
}

/// The programs of the build.
#[derive(Clone, Debug)]
pub struct Build {
    /// The test programs, the quickest first.
    pub tests: Vec<Program>,
    /// `braid-sim` itself.
    pub machine: PathBuf,
    /// The bugs that it holds.
    pub bugs: Vec<Bug>,
}

/// A test program.
#[derive(Clone, Debug)]
pub struct Program {
    /// The folder of its package, and its name there unless it is that of the unit tests: `wal`, `tests/durability`.
    pub name: String,
    /// What to start.
    pub path: PathBuf,
    /// Where to start it.
    pub folder: PathBuf,
}

impl Build {
    /// Has cargo build everything.
    ///
    /// # Errors
    /// What kept it from doing so.
    pub fn make() -> Result<Self, String> {
        let mut tests = Vec::new();
        let mut everything = vec!["test", "--no-run", "--workspace"];
        everything.extend(LEFT_OUT.iter().flat_map(|package| ["--exclude", package]));
        for artifact in cargo(&everything)? {
            if artifact.is_test {
                let folder = artifact.folder()?;
                let package = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let name = if artifact.is_unit { package } else { format!("{package}/{}", artifact.target) };
                tests.push(Program { name, path: artifact.path, folder });
            }
        }
        tests.sort_by_key(|program| (cost(&program.name), program.name.clone()));
        let machine = cargo(&["build", "--package", "braid-sim", "--bin", "braid-sim"])?
            .into_iter()
            .find(|artifact| artifact.target == "braid-sim")
            .ok_or("cargo built no braid-sim")?
            .path;
        let bugs = bugs_of(&machine)?;
        Ok(Self { tests, machine, bugs })
    }

    /// What a line of [`known`](super::known) names: `sim` and its arguments, or a test program and a test.
    ///
    /// # Errors
    /// A sentence where there is no such program.
    pub fn arm(&self, line: &str) -> Result<Arm, String> {
        if let Some(arguments) = line.strip_prefix("sim ") {
            return Ok(Arm::machine(&self.machine, arguments));
        }
        let (name, test) = line.split_once(' ').unwrap_or((line, ""));
        let program = self.tests.iter().find(|program| program.name == name);
        let program = program.ok_or_else(|| format!("there is no test program `{name}`"))?;
        Ok(Arm::test(program, test))
    }
}

/// A rough order of how long the test programs take.
fn cost(name: &str) -> usize {
    let quick = ["wal", "mvstore", "engine", "tests/isolation", "tests/transactions", "tests/sharing"];
    let place = quick.iter().position(|one| *one == name);
    place.unwrap_or(quick.len() + usize::from(name.starts_with("tests/")))
}

/// A program that cargo says it has built.
struct Artifact {
    manifest: PathBuf,
    target: String,
    path: PathBuf,
    is_test: bool,
    is_unit: bool,
}

impl Artifact {
    fn read(line: &str) -> Option<Self> {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let kind = message["target"]["kind"][0].as_str()?;
        Some(Self {
            manifest: message["manifest_path"].as_str()?.into(),
            target: message["target"]["name"].as_str()?.to_owned(),
            path: message["executable"].as_str()?.into(),
            is_test: message["profile"]["test"].as_bool()? && kind != "bin" && kind != "example",
            is_unit: kind == "lib",
        })
    }

    fn folder(&self) -> Result<PathBuf, String> {
        let folder = self.manifest.parent().map(Path::to_path_buf);
        folder.ok_or_else(|| format!("{} lies nowhere", self.manifest.display()))
    }
}

fn cargo(arguments: &[&str]) -> Result<Vec<Artifact>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(arguments)
        .args(["--profile", PROFILE, "--message-format", "json-render-diagnostics"])
        .env("RUSTFLAGS", FLAGS)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !output.status.success() {
        return Err("the build with planted bugs failed".to_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(Artifact::read).collect())
}

/// Asks the built `braid-sim`, which lists the bugs when it is asked to hunt them.
fn bugs_of(machine: &Path) -> Result<Vec<Bug>, String> {
    let output = Command::new(machine)
        .arg("planted")
        .output()
        .map_err(|error| format!("{} cannot be started: {error}", machine.display()))?;
    let listed = String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, mistake)| Bug { name: name.to_owned(), mistake: mistake.to_owned() })
        .collect::<Vec<_>>();
    if listed.is_empty() { Err("the build holds no planted bug".to_owned()) } else { Ok(listed) }
}
