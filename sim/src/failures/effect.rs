//! What becomes of a call that is met.

use std::io::ErrorKind;

use braid::Error;
use braid::vfs::faulty::{Fault, Operation};

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// `EIO`, and nothing is done.
    Fails,
    /// `ENOSPC`, and nothing is done.
    Full,
    /// It reads or writes a part of what it is asked for.
    Short,
    /// It reads or writes nothing, and says so.
    Nothing,
    /// `EINTR`, and nothing is done.
    Interrupted,
    /// It is done, and says that it failed.
    Lies,
}

/// How long it lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lasts {
    Once,
    FromThenOn,
}

/// A fault of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Met {
    pub(super) operation: Operation,
    pub(super) nth: u64,
    pub(super) effect: Effect,
    pub(super) lasts: Lasts,
}

const TRANSFERS: [Operation; 2] = [Operation::Read, Operation::Write];

impl Effect {
    pub(super) const ALL: [(Self, Lasts); 11] = [
        (Self::Fails, Lasts::Once),
        (Self::Fails, Lasts::FromThenOn),
        (Self::Full, Lasts::Once),
        (Self::Full, Lasts::FromThenOn),
        (Self::Short, Lasts::Once),
        (Self::Short, Lasts::FromThenOn),
        (Self::Nothing, Lasts::Once),
        (Self::Nothing, Lasts::FromThenOn),
        // Who is interrupted for ever tries for ever.
        (Self::Interrupted, Lasts::Once),
        (Self::Lies, Lasts::Once),
        (Self::Lies, Lasts::FromThenOn),
    ];

    /// Whether such a call can end so.
    pub(super) fn applies_to(self, operation: Operation) -> bool {
        match self {
            Self::Fails | Self::Lies => true,
            Self::Full => !matches!(operation, Operation::Open | Operation::Read | Operation::Remove),
            Self::Short | Self::Nothing | Self::Interrupted => TRANSFERS.contains(&operation),
        }
    }

    /// Whether nobody is to notice.
    pub(super) fn is_normal(self) -> bool {
        matches!(self, Self::Short | Self::Interrupted)
    }
}

impl Met {
    /// The fault that meets the call.
    pub(super) fn fault(&self) -> Fault {
        let fault = Fault::on(self.operation).nth(self.nth);
        let fault = match self.effect {
            Effect::Fails => fault,
            Effect::Full => fault.kind(ErrorKind::StorageFull),
            // A few bytes at a time for good would take for ever to read a segment.
            Effect::Short if self.lasts == Lasts::FromThenOn => fault.short(500),
            Effect::Short => fault.short(5),
            Effect::Nothing => fault.short(0),
            Effect::Interrupted => fault.kind(ErrorKind::Interrupted),
            Effect::Lies => fault.done_but_fails(ErrorKind::Other),
        };
        if self.lasts == Lasts::FromThenOn { fault.sticky() } else { fault }
    }
}

/// Whether a failing file explains an error. One that seems to end too early is rightly taken for damaged.
pub(super) fn is_explained(error: &Error, reads_nothing: bool) -> bool {
    match error {
        Error::Io { .. } | Error::NoSpace(_) | Error::CommitUnknown { .. } | Error::Poisoned { .. } => true,
        Error::Corrupt(_) => reads_nothing,
        _ => false,
    }
}
