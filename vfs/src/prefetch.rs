//! Asking for memory before it is needed.

/// Has the processor load the line that `address` is in, if it is anywhere; nothing where that cannot be said.
#[inline(always)]
#[cfg_attr(
    all(target_arch = "x86_64", not(miri)),
    expect(unsafe_code, reason = "the instruction has no safe name")
)]
pub fn prefetch<T>(address: *const T) {
    // SAFETY: it is a hint and no access: any address will do.
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(address.cast());
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}
