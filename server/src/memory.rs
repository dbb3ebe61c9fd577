//! How the allocator gives memory back. Why and what it saves: docs/decisions/0008-freed-memory-is-kept-for-ten-seconds.md.
use std::ffi::{c_int, c_long};

/// `mi_option_purge_delay` in mimalloc's `mi_option_t`.
const PURGE_DELAY: c_int = 15;
/// Freed memory goes back to the system after this many milliseconds. Under load it is used again long before, so that
/// the kernel need not clear it each time; an idle server soon is small again.
const PURGE_DELAY_MILLIS: c_long = 10_000;

/// Keeps freed memory for a while; `MIMALLOC_PURGE_DELAY` in the environment outranks this.
pub(crate) fn keep_freed() {
    #[expect(
        unsafe_code,
        reason = "mimalloc's options are set by its C function, no crate wraps it"
    )]
    // SAFETY: the function is part of the allocator that this program links, as declared in its header
    // (`void mi_option_set_default(mi_option_t option, long value)`); it stores one number and may be called at any time.
    unsafe {
        mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MILLIS);
    }
}

#[expect(unsafe_code, reason = "see above")]
unsafe extern "C" {
    fn mi_option_set_default(option: c_int, value: c_long);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(unsafe_code, reason = "reads the option that is set above")]
    unsafe extern "C" {
        fn mi_option_get(option: c_int) -> c_long;
    }

    #[test]
    fn freed_memory_is_kept_for_ten_seconds() {
        #[expect(unsafe_code, reason = "reads one number of the linked allocator")]
        // SAFETY: as in `keep_freed`.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        // Its default tells that the number still means this option.
        assert_eq!(delay(), 1_000);
        keep_freed();
        assert_eq!(delay(), PURGE_DELAY_MILLIS);
    }
}
