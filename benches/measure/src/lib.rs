//! What the benchmarks share, those of the engine by itself and those beside other engines: the [`machine`] and who used it
//! meanwhile, the [`Spread`] of repeated readings, rows all over a table ([`scramble`]), and [`number`]s for people.

pub mod machine;
mod number;
mod scramble;
mod spread;

pub use number::number;
pub use scramble::scramble;
pub use spread::Spread;
