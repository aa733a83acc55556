//! Atomics of which `loom` tries every order of accesses.
//!
//! Of an atomic, `loom` remembers the last access and the last write. Where a thread reads and then writes, as by a look before
//! a compare-exchange, its write finds its own read there, and is never tried before an earlier read of another thread:
//!
//! ```text
//!   A reads x      B reads x      B writes x
//!      ▲               ▲_______________│   the last access, and it is B's own
//!      └──────────────────────────────╳    so B's write before A's read is not tried
//! ```
//!
//! Here each access comes after one that counts as a write, to a word beside the atomic that nobody reads. It is relaxed, so
//! it orders nothing that the accesses do not order themselves, and old values are read as before. The price is twice the
//! steps: for models with few of them.

use super::atomic::{self, Ordering};

macro_rules! tracked {
    ($(#[$attribute:meta])* $name:ident of $type:ty) => {
        $(#[$attribute])*
        #[derive(Debug)]
        pub struct $name {
            touched: atomic::AtomicUsize,
            value: atomic::$name,
        }

        impl $name {
            /// One that holds `value`.
            pub fn new(value: $type) -> Self {
                Self { touched: atomic::AtomicUsize::new(0), value: atomic::$name::new(value) }
            }

            fn touched(&self) -> &atomic::$name {
                self.touched.fetch_add(1, Ordering::Relaxed);
                &self.value
            }

            /// What it holds.
            pub fn load(&self, order: Ordering) -> $type {
                self.touched().load(order)
            }

            /// Has it hold `value`.
            pub fn store(&self, value: $type, order: Ordering) {
                self.touched().store(value, order);
            }

            /// Has it hold `new`, if it holds `current`; what it held.
            ///
            /// # Errors
            /// What it holds, if that is something else.
            pub fn compare_exchange(
                &self,
                current: $type,
                new: $type,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$type, $type> {
                self.touched().compare_exchange(current, new, success, failure)
            }

            /// Sets the bits of `value`; what it held.
            pub fn fetch_or(&self, value: $type, order: Ordering) -> $type {
                self.touched().fetch_or(value, order)
            }

            /// Clears the bits that `value` does not have; what it held.
            pub fn fetch_and(&self, value: $type, order: Ordering) -> $type {
                self.touched().fetch_and(value, order)
            }
        }
    };
}

tracked! {
    /// As the one of the standard library.
    AtomicBool of bool
}
tracked! {
    /// As the one of the standard library.
    AtomicU64 of u64
}
tracked! {
    /// As the one of the standard library.
    AtomicUsize of usize
}
