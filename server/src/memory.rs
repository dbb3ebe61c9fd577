//! How the allocator takes memory and gives it back. Why, and what it saves:
//! docs/decisions/0015-an-allocator-that-reuses-memory-first.md.
use std::ffi::c_char;

/// Of this program; `MALLOC_CONF` in the environment outranks it.
///
/// Freed memory goes back to the system over two seconds, by threads of the allocator's own: under load it is used again
/// long before, and an idle server soon is small. No huge pages, of which little would be used at first.
const SETTINGS: &std::ffi::CStr =
    c"background_thread:true,dirty_decay_ms:2000,muzzy_decay_ms:0,thp:never";

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[expect(unsafe_code, reason = "jemalloc reads its settings from a symbol of the program")]
// SAFETY: jemalloc declares `const char *malloc_conf` for programs to define, and reads it before `main`; the text ends
// with a zero byte and is never written to.
#[cfg_attr(target_vendor = "apple", unsafe(export_name = "_rjem_malloc_conf"))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(export_name = "malloc_conf"))]
static MALLOC_CONF: Option<&'static c_char> = Some(
    // SAFETY: the pointer is to the first of at least one character that live for ever.
    unsafe { &*SETTINGS.as_ptr() },
);

/// Resident memory of the process, in bytes; `None` where the system does not tell.
pub(crate) fn resident_bytes() -> Option<u64> {
    parse(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use std::ffi::{CStr, c_int, c_void};

    use super::*;

    #[expect(unsafe_code, reason = "no crate that is linked wraps this call")]
    unsafe extern "C" {
        #[cfg_attr(target_vendor = "apple", link_name = "_rjem_mallctl")]
        fn mallctl(
            name: *const c_char,
            old: *mut c_void,
            old_bytes: *mut usize,
            new: *mut c_void,
            new_bytes: usize,
        ) -> c_int;
    }

    fn setting<T>(name: &CStr, mut value: T) -> T {
        let mut bytes = size_of::<T>();
        #[expect(unsafe_code, reason = "reads one setting of the linked allocator")]
        // SAFETY: `mallctl` writes at most `bytes` bytes of plain data to `value`, and nothing where their number differs.
        let failure = unsafe {
            let value = (&raw mut value).cast();
            mallctl(name.as_ptr(), value, &raw mut bytes, std::ptr::null_mut(), 0)
        };
        assert_eq!(failure, 0, "{name:?}");
        value
    }

    #[test]
    fn the_allocator_heeds_its_settings() {
        if std::env::var_os("MALLOC_CONF").is_some() {
            println!("skipped: MALLOC_CONF is set");
            return;
        }
        assert!(setting(c"opt.background_thread", false));
        assert_eq!(setting(c"opt.dirty_decay_ms", 0_isize), 2_000);
        assert_eq!(setting(c"opt.muzzy_decay_ms", 1_isize), 0);
        let thp = setting(c"opt.thp", std::ptr::null::<c_char>());
        assert!(!thp.is_null());
        #[expect(unsafe_code, reason = "the setting is a text of the allocator's")]
        // SAFETY: names of settings are texts that end with a zero byte and live for ever.
        let thp = unsafe { CStr::from_ptr(thp) };
        assert_eq!(thp, c"never");
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        assert_eq!(parse("Name:\tx\nVmRSS:\t    1234 kB\nRssAnon:\t 1 kB\n"), Some(1_234 << 10));
        assert_eq!(parse("Name:\tx\n"), None);
        assert_eq!(parse("VmRSS:\tmany kB\n"), None);
    }
}
