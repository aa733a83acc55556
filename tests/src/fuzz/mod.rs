//! What the fuzzer runs, apart from the fuzzer: from bytes to a judgement. The programs that feed it are in `fuzz/`; the
//! inputs that are kept there run as ordinary tests too (`tests/fuzzing/`).
//!
//! An input of a file format is an [image](LogImage): the file with its zeros left out. The fuzzer changes it and then
//! has it *repaired*: checksums, positions and the parents' references are made right again, as far as chance says, as
//! otherwise nothing would be tried but the checksums.

mod bytes;
mod file_image;
mod kept;
mod log_image;
mod log_replay;
mod open_file;
mod operations;
mod quiet;

pub use file_image::FileImage;
pub use kept::kept_inputs;
pub use log_image::LogImage;
pub use log_replay::log_replay;
pub use open_file::open_file;
pub use operations::operations;
pub use quiet::quiet_env;
