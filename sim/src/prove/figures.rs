//! The line that a proof ends with.

/// Figures by their names, in the order in which they were printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures(Vec<(String, u64)>);

impl Figures {
    /// Reads `seeds=1000 commits=20 failures=0`. `None` where a line is something else.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let figure = |word: &str| {
            let (name, number) = word.split_once('=')?;
            Some((name.to_owned(), number.parse().ok()?))
        };
        let figures: Vec<_> = line.split_whitespace().map(figure).collect::<Option<_>>()?;
        if figures.is_empty() { None } else { Some(Self(figures)) }
    }

    /// The last line of figures in what a program printed.
    #[must_use]
    pub fn last_in(printed: &str) -> Option<Self> {
        printed.lines().rev().find_map(Self::parse)
    }

    /// A figure by its name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<u64> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, number)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_figures_is_read_and_others_are_not() {
        let figures = Figures::parse("seeds=1000 commits=20 failures=0").unwrap();
        assert_eq!(
            (figures.get("seeds"), figures.get("failures"), figures.get("x")),
            (Some(1000), Some(0), None)
        );
        for other in ["", "seeds", "seeds=many", "all is well", "seeds=1 and more"] {
            assert_eq!(Figures::parse(other), None, "{other}");
        }
    }

    #[test]
    fn the_last_line_of_figures_counts() {
        let printed = "states=1 failures=9\nwords\nstates=2 failures=0\n\n";
        assert_eq!(Figures::last_in(printed).and_then(|figures| figures.get("states")), Some(2));
        assert_eq!(Figures::last_in("nothing\n"), None);
    }
}
