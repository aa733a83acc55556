//! Our own library that makes calls of the system fail: `preload/faults.c`, which says how a plan is written.

use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::Tried;
use crate::Program;

const SOURCE: &str = include_str!("../../preload/faults.c");

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `fsync` and `fdatasync`, of files and of directories.
    Sync,
    /// `pwrite`.
    Write,
    /// `pread`.
    Read,
    /// `ftruncate`.
    Truncate,
    /// `open` that may create.
    Create,
    /// Any other `open`.
    Open,
    /// `rename`, by its new name.
    Rename,
    /// `unlink`.
    Unlink,
    /// `mmap` for writing.
    Map,
}

/// Which calls of a kind are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The nth.
    Once,
    /// All from the nth on.
    Always,
    /// Each nth.
    Every,
}

/// What becomes of a call that is met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It fails with this number and does nothing.
    Errno(i32),
    /// It is done and says that it failed.
    Done(i32),
    /// It moves a byte less than asked.
    Short,
    /// It moves none and says so.
    Zero,
    /// The process dies before it.
    KillBefore,
    /// The process dies after it.
    KillAfter,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sync => "sync",
            Self::Write => "write",
            Self::Read => "read",
            Self::Truncate => "truncate",
            Self::Create => "create",
            Self::Open => "open",
            Self::Rename => "rename",
            Self::Unlink => "unlink",
            Self::Map => "map",
        })
    }
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Once => "once",
            Self::Always => "always",
            Self::Every => "every",
        })
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errno(errno) => write!(f, "{errno}"),
            Self::Done(errno) => write!(f, "done-{errno}"),
            Self::Short => f.write_str("short"),
            Self::Zero => f.write_str("zero"),
            Self::KillBefore => f.write_str("kill-before"),
            Self::KillAfter => f.write_str("kill-after"),
        }
    }
}

/// The library, compiled.
#[derive(Debug)]
pub struct Preload {
    directory: TempDir,
}

impl Preload {
    /// Compiles it; skipped where there is no C compiler, or no `LD_PRELOAD` as it is on Linux.
    ///
    /// # Errors
    /// When it does not compile.
    pub fn build() -> Result<Tried<Self>, String> {
        if !cfg!(all(target_os = "linux", target_env = "gnu")) {
            return Ok(Tried::Skipped("the library is for Linux with the GNU C library".to_owned()));
        }
        let directory = TempDir::with_prefix("braid-preload-").map_err(|error| error.to_string())?;
        let built = Self { directory };
        let compiler = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-x", "c", "-", "-o"])
            .arg(built.library())
            .args(["-ldl"])
            .stdin(Stdio::piped())
            .spawn();
        let mut compiler = match compiler {
            Ok(compiler) => compiler,
            Err(error) => return Ok(Tried::Skipped(format!("there is no C compiler (`cc`: {error})"))),
        };
        if let Some(mut input) = compiler.stdin.take() {
            input.write_all(SOURCE.as_bytes()).map_err(|error| error.to_string())?;
        }
        let status = compiler.wait().map_err(|error| error.to_string())?;
        if status.success() {
            Ok(Tried::Held(built))
        } else {
            Err("preload/faults.c does not compile".to_owned())
        }
    }

    fn library(&self) -> PathBuf {
        self.directory.path().join("faults.so")
    }

    /// The program with a plan for calls on paths that hold `within`.
    #[must_use]
    pub fn around(&self, program: &Program, plan: &str, within: &Path, report: &Path) -> Program {
        program
            .clone()
            .with_variable("LD_PRELOAD", self.library())
            .with_variable("BRAID_FAULT", plan)
            .with_variable("BRAID_FAULT_WITHIN", within)
            .with_variable("BRAID_FAULT_REPORT", report)
    }
}
