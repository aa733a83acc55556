//! Paths without symbolic links.
//!
//! Name by name, so that each link can be looked at before it is followed. Where everybody may make entries (`/tmp`), a link
//! may have been put there by somebody who wants another's process to open what that somebody may not. Such a link is
//! followed only where Linux with `fs.protected_symlinks` would follow it.

use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::platform;

/// How many symbolic links a path may lead through: the kernel's own bound.
const LINKS_MAX: usize = 40;

/// One step of a path.
enum Step {
    Root(PathBuf),
    Up,
    Name(OsString),
}

fn steps(path: &Path) -> impl DoubleEndedIterator<Item = Step> + '_ {
    path.components().filter_map(|component| match component {
        Component::CurDir => None,
        Component::Prefix(_) | Component::RootDir => {
            Some(Step::Root(Path::new(component.as_os_str()).into()))
        }
        Component::ParentDir => Some(Step::Up),
        Component::Normal(name) => Some(Step::Name(name.to_owned())),
    })
}

/// The path without links and dots; its last name may be absent.
#[expect(clippy::disallowed_methods, reason = "this is where the workspace resolves paths")]
pub(super) fn resolve(path: &Path) -> io::Result<PathBuf> {
    let mut place = if path.is_absolute() { PathBuf::new() } else { std::fs::canonicalize(".")? };
    // The next step last.
    let mut pending: Vec<Step> = steps(path).rev().collect();
    if pending.is_empty() && path.as_os_str().is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let mut links = 0;
    while let Some(step) = pending.pop() {
        let name = match step {
            Step::Root(root) => {
                place.push(root);
                continue;
            }
            Step::Up => {
                place.pop();
                continue;
            }
            Step::Name(name) => name,
        };
        let next = place.join(name);
        match std::fs::symlink_metadata(&next) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && pending.is_empty() => return Ok(next),
            Err(error) => return Err(error),
            Ok(found) if found.is_symlink() => {
                links += 1;
                if links > LINKS_MAX {
                    return Err(crate::memory::too_many_links());
                }
                platform::check_link(&found, &std::fs::metadata(&place)?)?;
                pending.extend(steps(&std::fs::read_link(&next)?).rev());
            }
            Ok(found) if !found.is_dir() && !pending.is_empty() => {
                return Err(io::ErrorKind::NotADirectory.into());
            }
            Ok(_) => place = next,
        }
    }
    Ok(place)
}
