//! The inputs that are kept in the repository.
#![expect(clippy::disallowed_methods, reason = "the inputs are files of the repository")]

use std::fs;
use std::path::Path;

/// All kept inputs of a target with their names: the corpus, and everything that once failed.
///
/// # Panics
/// When the target has none, or one cannot be read.
#[must_use]
pub fn kept_inputs(target: &str) -> Vec<(String, Vec<u8>)> {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let mut inputs = Vec::new();
    for folder in ["corpus", "regressions"] {
        let Ok(files) = fs::read_dir(fuzz.join(folder).join(target)) else { continue };
        for file in files {
            let path = file.expect("a folder of inputs can be listed").path();
            let bytes = fs::read(&path).expect("an input can be read");
            inputs.push((path.display().to_string(), bytes));
        }
    }
    assert!(!inputs.is_empty(), "fuzz/corpus/{target} holds no input");
    inputs.sort();
    inputs
}
