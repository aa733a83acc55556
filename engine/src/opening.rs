//! From a path to a handle: resolve the name, find out which file it is, share its core or open one.

use std::io;
use std::path::{Path, PathBuf};

use braid_vfs::{Env, OpenMode, OpenOptions};

use crate::core::{self, Core, OpenRequest};
use crate::database::Database;
use crate::error::{Error, Result};
use crate::handle::{Handle, share};
use crate::options::Options;

/// The file of a database in memory, in a file system of its own.
const IN_MEMORY: &str = "/memory.braid";

/// Opens for writing. `options` are compared with those of a core that is open already; `None` takes it as it is.
pub(crate) fn open(env: Env, path: &Path, options: Option<&Options>) -> Result<Database> {
    options.map_or(Ok(()), Options::validate)?;
    let create = options.is_none_or(|options| options.create);
    // A missing file is made; what is missing here is the folder for it.
    let path = env.files.resolve(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound if !create => Error::NotFound(path.to_owned()),
        io::ErrorKind::InvalidFilename => name_too_long(path, &error),
        _ => Error::io(format!("finding the folder of `{}`", path.display()), error),
    })?;
    refuse_long_name(&env, &path)?;
    let context = || format!("opening {}", path.display());
    // Makes the file if there is none: only then has it an identity.
    let mode = if create { OpenMode::ReadWriteCreate } else { OpenMode::ReadWrite };
    let file = env.files.open(&path, OpenOptions::new(mode).without_link()).map_err(|error| {
        if !create && error.kind() == io::ErrorKind::NotFound {
            Error::NotFound(path.clone())
        } else {
            Error::io(context(), error)
        }
    })?;
    let identity = file.identity().map_err(|error| Error::io(context(), error))?;
    drop(file);
    let request = OpenRequest {
        env,
        path: path.clone(),
        identity: Some(identity),
        options: options.cloned().unwrap_or_default(),
        read_only: false,
    };
    let attach = |core: &Core| {
        if core.writer().is_err() {
            return Err(Error::OptionsConflict { path: path.clone(), option: "access mode (read-only)" });
        }
        agree(&path, options, core)
    };
    let handle = share(identity, || core::open(request), attach)?;
    Ok(Database::new(handle, false))
}

/// Refuses options that are not those of a core that is open already.
fn agree(path: &Path, options: Option<&Options>, core: &Core) -> Result<()> {
    match options.and_then(|wanted| wanted.difference(&core.options)) {
        Some(option) => Err(Error::OptionsConflict { path: path.to_owned(), option }),
        None => Ok(()),
    }
}

/// Refuses a name whose log could not have its own, before a file is made that would be of no use.
fn refuse_long_name(env: &Env, path: &Path) -> Result<()> {
    match env.files.identity(&core::log_dir(path)) {
        Err(error) if error.kind() == io::ErrorKind::InvalidFilename => Err(name_too_long(path, &error)),
        // Whatever else is wrong here is told by who needs it.
        _ => Ok(()),
    }
}

fn name_too_long(path: &Path, error: &io::Error) -> Error {
    let words = format!("{error}, for the file or for its log; give it a shorter name");
    Error::io(format!("opening {}", path.display()), io::Error::new(io::ErrorKind::InvalidFilename, words))
}

/// Opens for reading; a core that is open for writing is shared and not written through. `options` as for [`open`].
pub(crate) fn open_read_only(env: Env, path: &Path, options: Option<&Options>) -> Result<Database> {
    options.map_or(Ok(()), Options::validate)?;
    let path = env.files.resolve(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NotFound(path.to_owned()),
        _ => Error::io(format!("resolving {}", path.display()), error),
    })?;
    let identity = env
        .files
        .identity(&path)
        .map_err(|error| Error::io(format!("opening {}", path.display()), error))?
        .ok_or_else(|| Error::NotFound(path.clone()))?;
    let request = OpenRequest {
        env,
        path: path.clone(),
        identity: Some(identity),
        options: options.cloned().unwrap_or_default(),
        read_only: true,
    };
    let handle = share(identity, || core::open(request), |core| agree(&path, options, core))?;
    Ok(Database::new(handle, true))
}

/// Opens on memory that nobody else can reach.
pub(crate) fn in_memory(options: Options) -> Result<Database> {
    options.validate()?;
    // There is nothing in memory that could be opened.
    let options = options.create(true);
    let env = Env::in_memory();
    let path = PathBuf::from(IN_MEMORY);
    env.files
        .open(&path, OpenOptions::new(OpenMode::CreateNew))
        .map_err(|error| Error::io("making a file in memory", error))?;
    let core = core::open(OpenRequest { env, path, identity: None, options, read_only: false })?;
    Ok(Database::new(Handle::private(core), false))
}
