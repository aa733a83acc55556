//! The name of a state, short enough to type: which moment, what the cut kept, and so on through recoveries.

use std::fmt;
use std::str::FromStr;

use braid::vfs::faulty::CrashChoice;

/// What ended a run: at which of its moments, and what the cut kept; a kill keeps everything for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The number of the moment.
    pub moment: usize,
    /// What was kept; `None` for a kill.
    pub choice: Option<CrashChoice>,
}

/// A state: the end of the workload, then the ends of the recoveries after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatePath(pub Vec<Step>);

impl StatePath {
    /// The path and one more step.
    #[must_use]
    pub fn then(&self, step: Step) -> Self {
        Self(self.0.iter().copied().chain([step]).collect())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", self.moment)?;
        match self.choice {
            None => f.write_str("kill"),
            Some(CrashChoice::KeepAll) => f.write_str("all"),
            Some(CrashChoice::KeepNone) => f.write_str("none"),
            Some(CrashChoice::Prefix { changes, bytes }) => write!(f, "prefix:{changes}:{bytes}"),
            Some(CrashChoice::Subset { seed, unit }) => write!(f, "subset:{seed}:{unit}"),
        }
    }
}

impl fmt::Display for StatePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            write!(f, "{}{step}", if place > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!("`{text}` is no state; it looks like 12/all, 12/prefix:3:48, 12/subset:7:512 or 12/kill")
        };
        let (moment, choice) = text.split_once('/').ok_or_else(wrong)?;
        let parts: Vec<&str> = choice.split(':').collect();
        let choice = match parts.as_slice() {
            ["kill"] => None,
            ["all"] => Some(CrashChoice::KeepAll),
            ["none"] => Some(CrashChoice::KeepNone),
            ["prefix", changes, bytes] => Some(CrashChoice::Prefix {
                changes: changes.parse().map_err(|_| wrong())?,
                bytes: bytes.parse().map_err(|_| wrong())?,
            }),
            ["subset", seed, unit] => Some(CrashChoice::Subset {
                seed: seed.parse().map_err(|_| wrong())?,
                unit: unit.parse().map_err(|_| wrong())?,
            }),
            _ => return Err(wrong()),
        };
        Ok(Self { moment: moment.parse().map_err(|_| wrong())?, choice })
    }
}

impl FromStr for StatePath {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').map(str::parse).collect::<Result<Vec<_>, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let name = "3/all,0/none,17/prefix:4:9,2/kill,8/subset:77:512";
        assert_eq!(name.parse::<StatePath>().unwrap().to_string(), name);
        for wrong in ["", "3", "3/some", "x/all", "3/prefix:1", "3/subset:a:8"] {
            assert!(wrong.parse::<StatePath>().is_err(), "{wrong}");
        }
    }
}
