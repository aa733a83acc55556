//! Every state that a crash may leave.
//!
//! A workload runs on a machine that keeps apart what is on the disk and what is not yet. A
//! recorder copies the machine after every call that changes something: a *moment*. For each moment the
//! choices say what a power cut may have kept; each gives an image, which is opened and judged. The *recovery*
//! of some images, after a cut or after a kill, is recorded in the same way, with the moments that it has.

mod choices;
mod features;
mod image;
mod path;
mod recorder;
mod search;
mod tour;
mod workload;

pub(crate) use image::{examine, examine_beside};

pub use path::{StatePath, Step};
pub use search::{Figures, Search};
pub use workload::{NAMES, Workload};
