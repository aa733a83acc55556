//! A tree of names, over whatever stands for a file.
//!
//! Directories live in one table under their inode numbers, so that a copy of the table is a copy of the tree and a
//! model of crashes can hold one tree that is live and one that is durable.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

/// How many symbolic links one path may lead through: the kernel's own bound.
const LINKS_MAX: usize = 40;

/// The inode number of `/`.
pub(crate) const ROOT: u64 = 1;

/// What a name stands for.
#[derive(Clone, Debug)]
pub(crate) enum Child<F> {
    File(F),
    Directory(u64),
    Link(PathBuf),
}

impl<F> Child<F> {
    /// The same over another file.
    pub(crate) fn map<G>(&self, map: &mut impl FnMut(&F) -> G) -> Child<G> {
        match self {
            Self::File(file) => Child::File(map(file)),
            Self::Directory(inode) => Child::Directory(*inode),
            Self::Link(target) => Child::Link(target.clone()),
        }
    }
}

/// The names of one directory.
pub(crate) type Names<F> = BTreeMap<OsString, Child<F>>;

/// A tree of names.
#[derive(Clone, Debug)]
pub(crate) struct Namespace<F> {
    directories: HashMap<u64, Names<F>>,
}

/// Where a path leads.
#[derive(Debug)]
pub(crate) struct Located<F> {
    /// The path without links and dots.
    pub(crate) path: PathBuf,
    /// The directory that holds, or would hold, the name.
    pub(crate) parent: u64,
    /// The name in it; empty for the root.
    pub(crate) name: OsString,
    /// What the name stands for, if it exists.
    pub(crate) child: Option<Child<F>>,
}

/// What to do about a symbolic link in the last place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LastLink {
    Follow,
    Keep,
}

impl<F: Clone> Default for Namespace<F> {
    fn default() -> Self {
        Self { directories: HashMap::from([(ROOT, Names::new())]) }
    }
}

impl<F: Clone> Namespace<F> {
    /// The names of a directory.
    pub(crate) fn names(&self, directory: u64) -> Option<&Names<F>> {
        self.directories.get(&directory)
    }

    /// The names of a directory, which becomes known by this.
    pub(crate) fn names_mut(&mut self, directory: u64) -> &mut Names<F> {
        self.directories.entry(directory).or_default()
    }

    /// Forgets a directory.
    pub(crate) fn forget(&mut self, directory: u64) {
        self.directories.remove(&directory);
    }

    /// The same tree over other files.
    pub(crate) fn map<G>(&self, map: &mut impl FnMut(&F) -> G) -> Namespace<G> {
        let directories = self
            .directories
            .iter()
            .map(|(inode, names)| {
                let names = names.iter().map(|(name, child)| (name.clone(), child.map(map))).collect();
                (*inode, names)
            })
            .collect();
        Namespace { directories }
    }

    /// Forgets the directories that no name leads to.
    pub(crate) fn retain_reachable(&mut self) {
        let mut reached = HashMap::new();
        let mut open = vec![ROOT];
        while let Some(directory) = open.pop() {
            let Some(names) = self.directories.remove(&directory) else { continue };
            open.extend(names.values().filter_map(|child| match child {
                Child::Directory(inode) => Some(*inode),
                Child::File(_) | Child::Link(_) => None,
            }));
            reached.insert(directory, names);
        }
        self.directories = reached;
    }

    /// What a name in a directory stands for.
    pub(crate) fn child(&self, directory: u64, name: &OsStr) -> Option<&Child<F>> {
        self.directories.get(&directory)?.get(name)
    }

    /// Follows a path, which starts at the root whether it says so or not.
    ///
    /// # Errors
    /// `NotFound` where anything but the last name is absent, `NotADirectory`, and `FilesystemLoop` past the bound on links.
    pub(crate) fn locate(&self, path: &Path, last_link: LastLink) -> io::Result<Located<F>> {
        let mut stack: Vec<(OsString, u64)> = Vec::new();
        let mut pending: VecDeque<OsString> = components(path).collect();
        let mut links = 0;
        while let Some(step) = pending.pop_front() {
            if step == "/" {
                stack.clear();
                continue;
            }
            if step == ".." {
                stack.pop();
                continue;
            }
            let parent = stack.last().map_or(ROOT, |(_, directory)| *directory);
            let is_last = pending.is_empty();
            match self.child(parent, &step) {
                Some(Child::Link(target)) if !is_last || last_link == LastLink::Follow => {
                    links += 1;
                    if links > LINKS_MAX {
                        return Err(too_many_links());
                    }
                    for step in components(target).collect::<Vec<_>>().into_iter().rev() {
                        pending.push_front(step);
                    }
                }
                Some(Child::Directory(directory)) => stack.push((step, *directory)),
                child if is_last => {
                    let mut path = path_of(&stack);
                    path.push(&step);
                    return Ok(Located { path, parent, name: step, child: child.cloned() });
                }
                Some(_) => return Err(io::ErrorKind::NotADirectory.into()),
                None => return Err(io::ErrorKind::NotFound.into()),
            }
        }
        let path = path_of(&stack);
        let (name, directory) = stack.pop().unwrap_or((OsString::new(), ROOT));
        let parent = stack.last().map_or(ROOT, |(_, directory)| *directory);
        Ok(Located { path, parent, name, child: Some(Child::Directory(directory)) })
    }

    /// The inode number of the directory that a path leads to.
    ///
    /// # Errors
    /// As [`locate`](Self::locate); `NotFound` or `NotADirectory` where it is no directory.
    pub(crate) fn directory(&self, path: &Path) -> io::Result<u64> {
        match self.locate(path, LastLink::Follow)?.child {
            Some(Child::Directory(directory)) => Ok(directory),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The place of an empty directory that may be removed.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`, `DirectoryNotEmpty`, and `ResourceBusy` for the root.
    pub(crate) fn removable_directory(&self, path: &Path) -> io::Result<DirectoryPlace> {
        let place = self.locate(path, LastLink::Keep)?;
        match place.child {
            None => Err(io::ErrorKind::NotFound.into()),
            Some(Child::Directory(ROOT)) => Err(io::ErrorKind::ResourceBusy.into()),
            Some(Child::Directory(inode)) if self.is_empty(inode) => {
                Ok(DirectoryPlace { parent: place.parent, name: place.name, inode })
            }
            Some(Child::Directory(_)) => Err(io::ErrorKind::DirectoryNotEmpty.into()),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    /// Checks a rename and says what it changes; `None` when both names are one file already, which changes nothing.
    ///
    /// # Errors
    /// What `rename(2)` says.
    pub(crate) fn plan_rename(
        &self,
        from: &Path,
        to: &Path,
        same: impl Fn(&F, &F) -> bool,
    ) -> io::Result<Option<Rename<F>>> {
        let source = self.locate(from, LastLink::Keep)?;
        let target = self.locate(to, LastLink::Keep)?;
        let child = source.child.ok_or(io::ErrorKind::NotFound)?;
        if source.name.is_empty() || target.name.is_empty() {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        if source.parent == target.parent && source.name == target.name {
            return Ok(None);
        }
        let mut replaced_directory = None;
        match (&child, &target.child) {
            (Child::File(a), Some(Child::File(b))) if same(a, b) => return Ok(None),
            (Child::Directory(_), _) if target.path.starts_with(&source.path) => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            (Child::Directory(_), Some(Child::Directory(inode))) => {
                if !self.is_empty(*inode) {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                replaced_directory = Some(*inode);
            }
            (Child::Directory(_), Some(_)) => return Err(io::ErrorKind::NotADirectory.into()),
            (_, Some(Child::Directory(_))) => return Err(io::ErrorKind::IsADirectory.into()),
            (_, _) => {}
        }
        Ok(Some(Rename {
            from: (source.parent, source.name),
            to: (target.parent, target.name),
            child,
            replaced_directory,
        }))
    }

    /// Checks a rename of a file to a name that must be new.
    ///
    /// # Errors
    /// What `renameat2(2)` says of `RENAME_NOREPLACE`; `Unsupported` for a directory, which cannot have a second name.
    pub(crate) fn plan_rename_new(&self, from: &Path, to: &Path) -> io::Result<Rename<F>> {
        let source = self.locate(from, LastLink::Keep)?;
        let target = self.locate(to, LastLink::Keep)?;
        let child = source.child.ok_or(io::ErrorKind::NotFound)?;
        if target.child.is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if matches!(child, Child::Directory(_)) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Rename {
            from: (source.parent, source.name),
            to: (target.parent, target.name),
            child,
            replaced_directory: None,
        })
    }

    fn is_empty(&self, directory: u64) -> bool {
        self.names(directory).is_none_or(BTreeMap::is_empty)
    }
}

/// An empty directory and where its name is.
#[derive(Debug)]
pub(crate) struct DirectoryPlace {
    pub(crate) parent: u64,
    pub(crate) name: OsString,
    pub(crate) inode: u64,
}

/// What a rename changes.
#[derive(Debug)]
pub(crate) struct Rename<F> {
    /// The directory and name that goes.
    pub(crate) from: (u64, OsString),
    /// The directory and name that comes, or is replaced.
    pub(crate) to: (u64, OsString),
    pub(crate) child: Child<F>,
    /// The empty directory that had the new name.
    pub(crate) replaced_directory: Option<u64>,
}

/// The steps of a path: names, `..`, and `/` for a start at the root.
fn components(path: &Path) -> impl Iterator<Item = OsString> + '_ {
    path.components().filter_map(|component| match component {
        Component::Prefix(_) | Component::CurDir => None,
        Component::RootDir => Some(OsString::from("/")),
        Component::ParentDir => Some(OsString::from("..")),
        Component::Normal(name) => Some(name.to_owned()),
    })
}

fn path_of(stack: &[(OsString, u64)]) -> PathBuf {
    std::iter::once(OsStr::new("/")).chain(stack.iter().map(|(name, _)| name.as_os_str())).collect()
}

/// What the kernel calls `ELOOP`; the standard library has no stable name for its kind.
pub(crate) fn too_many_links() -> io::Error {
    #[cfg(unix)]
    return io::Error::from_raw_os_error(rustix::io::Errno::LOOP.raw_os_error());
    #[cfg(not(unix))]
    return io::Error::other("the path leads through too many symbolic links");
}

/// What is said of a link that is not to be followed.
pub(crate) fn link_refused() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidInput,
        "a symbolic link stands where only a file may be; remove it, or put the file there",
    )
}

impl<F: Clone> Namespace<F> {
    /// Makes sure that a path is a directory and no link to one.
    ///
    /// # Errors
    /// `NotFound`, `NotADirectory`.
    pub(crate) fn check_directory(&self, path: &Path) -> io::Result<()> {
        match self.locate(path, LastLink::Keep)?.child {
            Some(Child::Directory(_)) => Ok(()),
            Some(_) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Where a file that is to be opened is.
    ///
    /// # Errors
    /// As [`locate`](Self::locate), and `InvalidInput` for a link that is not to be followed.
    pub(crate) fn locate_file(&self, path: &Path, follow_link: bool) -> io::Result<Located<F>> {
        let place = self.locate(path, if follow_link { LastLink::Follow } else { LastLink::Keep })?;
        if matches!(place.child, Some(Child::Link(_))) { Err(link_refused()) } else { Ok(place) }
    }
}
