//! Statics that need more than a constant.

/// A static that is made at its first use: `static ref NAME: Type = value;`.
#[macro_export]
#[doc(hidden)]
macro_rules! lazy_static {
    ($(#[$attribute:meta])* static ref $name:ident: $type:ty = $value:expr;) => {
        $(#[$attribute])*
        static $name: std::sync::LazyLock<$type> = std::sync::LazyLock::new(|| $value);
    };
}
