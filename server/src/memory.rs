//! How the allocator takes memory and gives it back. Why, and what it saves:
//! docs/decisions/0008-freed-memory-is-kept-for-ten-seconds.md, docs/decisions/0014-no-huge-pages.md.
use std::ffi::{c_int, c_long, c_ulong};

/// `mi_option_purge_delay` in mimalloc's `mi_option_t`.
const PURGE_DELAY: c_int = 15;
/// Freed memory goes back to the system after this many milliseconds. Under load it is used again long before, so that
/// the kernel need not clear it each time; an idle server soon is small again.
const PURGE_DELAY_MILLIS: c_long = 10_000;
/// `mi_option_allow_thp` in mimalloc's `mi_option_t`.
const ALLOW_THP: c_int = 43;
/// What the option is where nobody has set it.
const ALLOW_THP_DEFAULT: c_long = 1;

/// Settles what the allocator does, before anything large is allocated.
pub(crate) fn settle() {
    keep_freed();
    refuse_huge_pages();
}

/// Keeps freed memory for a while; `MIMALLOC_PURGE_DELAY` in the environment outranks this.
fn keep_freed() {
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

/// Takes memory by single pages, as it is used; `MIMALLOC_ALLOW_THP=2` in the environment outranks this.
///
/// mimalloc has asked for huge pages before `main` begins, so its own option would come too late: the kernel is told not
/// to heed that.
fn refuse_huge_pages() {
    #[expect(unsafe_code, reason = "mimalloc's options are read by its C function")]
    // SAFETY: as in `keep_freed`: `long mi_option_get(mi_option_t option)`.
    let allowed = unsafe { mi_option_get(ALLOW_THP) };
    if allowed == ALLOW_THP_DEFAULT {
        disable_huge_pages();
    }
}

#[cfg(target_os = "linux")]
fn disable_huge_pages() {
    const PR_SET_THP_DISABLE: c_int = 41;
    let (yes, unused): (c_ulong, c_ulong) = (1, 0);
    #[expect(unsafe_code, reason = "no crate of ours wraps this call")]
    // SAFETY: `int prctl(int option, ...)` of the C library; this option takes four numbers and touches no memory. A
    // kernel that does not know it says so, and nothing is lost.
    unsafe {
        prctl(PR_SET_THP_DISABLE, yes, unused, unused, unused);
    }
}

#[cfg(not(target_os = "linux"))]
fn disable_huge_pages() {}

#[expect(unsafe_code, reason = "see above")]
unsafe extern "C" {
    fn mi_option_set_default(option: c_int, value: c_long);
    fn mi_option_get(option: c_int) -> c_long;
    #[cfg(target_os = "linux")]
    fn prctl(option: c_int, ...) -> c_int;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(option: c_int) -> c_long {
        #[expect(unsafe_code, reason = "reads one number of the linked allocator")]
        // SAFETY: as in `refuse_huge_pages`.
        unsafe {
            mi_option_get(option)
        }
    }

    #[test]
    fn freed_memory_is_kept_for_ten_seconds() {
        // Its default tells that the number still means this option.
        assert_eq!(option(PURGE_DELAY), 1_000);
        keep_freed();
        assert_eq!(option(PURGE_DELAY), PURGE_DELAY_MILLIS);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_process_gets_no_huge_pages() {
        /// The option by which a library of another version would be told from this one: `mi_option_minimal_purge_size`,
        /// the next one, is 0 by default, and so is `mi_option_page_commit_on_demand`, three before.
        const NEIGHBOURS: [c_int; 2] = [ALLOW_THP + 1, ALLOW_THP - 3];
        assert_eq!(option(ALLOW_THP), ALLOW_THP_DEFAULT);
        assert_eq!(NEIGHBOURS.map(option), [0, 0]);
        settle();
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let enabled = status.lines().find_map(|line| line.strip_prefix("THP_enabled:"));
        // Kernels before 5.0 do not say.
        assert_eq!(enabled.map_or("0", str::trim), "0");
    }
}
