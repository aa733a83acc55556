//! What updates make of a row, step by step.

use crate::run::rows::Datum;

/// One update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Adds to a number.
    Add(i64),
    /// Raises a number to at least this.
    Max(i64),
    /// Lowers a number to at most this.
    Min(i64),
    /// Appends to a value.
    Append(Vec<u8>),
}

impl Step {
    /// Whether the two become one when they meet in one transaction.
    #[must_use]
    pub fn joins(&self, next: &Self) -> bool {
        matches!(self, Self::Append(_)) == matches!(next, Self::Append(_))
    }
}

/// What steps that join make of a row; `None` where that is refused.
#[must_use]
pub fn made(row: Option<Datum>, steps: &[Step]) -> Option<Datum> {
    let mut number = None;
    let mut value = row;
    for step in steps {
        let is = || match (number, row) {
            (Some(number), _) => Some(Some(number)),
            (None, None) => Some(None),
            (None, Some(row)) => row.as_number().map(|number| Some(i128::from(number))),
        };
        number = Some(match step {
            Step::Add(operand) => is()?.unwrap_or(0) + i128::from(*operand),
            Step::Max(operand) => is()?.map_or(i128::from(*operand), |is| is.max((*operand).into())),
            Step::Min(operand) => is()?.map_or(i128::from(*operand), |is| is.min((*operand).into())),
            Step::Append(bytes) => {
                value = Some(value.map_or_else(|| Datum::of(bytes), |value| value.appended(bytes)));
                continue;
            }
        });
    }
    match number {
        Some(number) => Some(Datum::of(&i64::try_from(number).ok()?.to_le_bytes())),
        None => value,
    }
}
