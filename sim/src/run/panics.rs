//! Panics of whichever thread, kept until somebody asks.

use std::sync::{Mutex, PoisonError};

/// The payload of a panic that belongs to the workload.
#[derive(Clone, Copy, Debug)]
pub struct Planned;

static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Has panics kept instead of printed, for the rest of the process.
pub fn keep() {
    std::panic::set_hook(Box::new(|info| {
        if !info.payload().is::<Planned>() {
            let thread = std::thread::current().name().unwrap_or("a thread").to_owned();
            let said = info.to_string().replace('\n', " ");
            PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{thread}: {said}"));
        }
    }));
}

/// The panics since the last call.
pub fn take() -> Vec<String> {
    std::mem::take(&mut *PANICS.lock().unwrap_or_else(PoisonError::into_inner))
}
