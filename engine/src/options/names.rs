//! The names of what options choose from: as settings, command lines and statistics have them.

use std::fmt;
use std::str::FromStr;

use super::{Admission, Durability, Isolation, JournalMode};

/// A name that none of the choices has. It says which there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseNameError {
    what: &'static str,
    names: &'static [&'static str],
}

impl ParseNameError {
    /// The names that there are.
    #[must_use]
    pub const fn names(&self) -> &'static [&'static str] {
        self.names
    }
}

impl fmt::Display for ParseNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this is no {}; give one of", self.what)?;
        for (place, name) in self.names.iter().enumerate() {
            write!(f, "{} `{name}`", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for ParseNameError {}

/// Text of each choice and back, from one list.
macro_rules! names {
    ($type:ident, $what:literal, { $($choice:ident: $name:literal,)* }) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self { $(Self::$choice => $name,)* })
            }
        }

        /// What [`Display`](fmt::Display) prints.
        impl FromStr for $type {
            type Err = ParseNameError;

            fn from_str(name: &str) -> Result<Self, ParseNameError> {
                match name {
                    $($name => Ok(Self::$choice),)*
                    _ => Err(ParseNameError { what: $what, names: &[$($name),*] }),
                }
            }
        }
    };
}

names!(JournalMode, "journal mode", { Wal: "wal", Mvcc: "mvcc", });
names!(Durability, "durability", { Sync: "sync", Deferred: "deferred", });
names!(Isolation, "isolation", { Snapshot: "snapshot", Serializable: "serializable", });
names!(Admission, "admission", { Concurrent: "concurrent", Immediate: "immediate", ByMode: "by-mode", });

#[cfg(all(test, not(any(shuttle, loom))))]
mod tests {
    use super::*;

    /// Those of one type, each of which reads as what prints it.
    fn names<T: FromStr<Err = ParseNameError> + fmt::Display + fmt::Debug>() -> &'static [&'static str] {
        let refused = |name: &str| name.parse::<T>().expect_err("no such name");
        let names = refused("").names();
        for name in names {
            assert_eq!(name.parse::<T>().expect("a name").to_string(), *name);
            assert_eq!(refused(&name.to_uppercase()).names(), names);
            assert_eq!(refused(&format!("{name} ")), refused(""));
        }
        names
    }

    #[test]
    fn a_choice_is_told_by_its_name() {
        assert_eq!(names::<JournalMode>(), ["wal", "mvcc"]);
        assert_eq!(names::<Durability>(), ["sync", "deferred"]);
        assert_eq!(names::<Isolation>(), ["snapshot", "serializable"]);
        assert_eq!(names::<Admission>(), ["concurrent", "immediate", "by-mode"]);
        assert_eq!(format!("[{:>5}]", JournalMode::Wal), "[  wal]");
    }

    #[test]
    fn a_wrong_name_is_answered_with_the_right_ones() {
        let wrong = "fast".parse::<Admission>().unwrap_err();
        let words = "this is no admission; give one of `concurrent`, `immediate`, `by-mode`";
        assert_eq!(wrong.to_string(), words);
    }
}
