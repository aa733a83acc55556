//! Ctrl-C and the request to terminate: the first asks the command to end early and report, the second ends it at once.

use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::exit::Code;

/// Whether the user wants the command to end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens from now on. Where the system has no signals to give, nothing ever interrupts.
    pub(crate) fn listen() -> Self {
        let interrupt = Self::default();
        let asked = interrupt.clone();
        let _ = ctrlc::set_handler(move || {
            if asked.0.swap(true, Ordering::Relaxed) {
                process::exit(i32::from(Code::Interrupted as u8));
            }
        });
        interrupt
    }

    /// Whether it was asked for.
    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Asks for it, as the user does.
    #[cfg(test)]
    pub(crate) fn request(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
