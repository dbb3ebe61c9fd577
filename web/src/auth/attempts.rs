//! Wrong tokens by address: after 20 within a minute, none is looked at for a minute.
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use storage::time::NANOS_PER_SECOND;

/// Wrong tokens a minute from one address.
const FAILED_MAX: u32 = 20;
const WINDOW_NANO: i64 = 60 * NANOS_PER_SECOND;
/// Addresses remembered (about 100 bytes each); when full, the oldest window makes room.
const ADDRESSES_MAX: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Attempts {
    windows: HashMap<Option<IpAddr>, Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    /// Start of the minute; once blocked, the moment of the last straw.
    since_unix_nano: i64,
    failed: u32,
}

impl Attempts {
    /// How long `address` stays blocked; `None` where it is not.
    pub(super) fn blocked(&self, address: Option<IpAddr>, now: i64) -> Option<Duration> {
        let window = self.windows.get(&network(address))?;
        let age = now.saturating_sub(window.since_unix_nano);
        if window.failed < FAILED_MAX || age >= WINDOW_NANO {
            return None;
        }
        // A clock that was set back must not block for longer than the window.
        let left = (WINDOW_NANO - age).clamp(1, WINDOW_NANO);
        Some(Duration::from_nanos(left.unsigned_abs()))
    }

    /// Notes a wrong token.
    pub(super) fn failed(&mut self, address: Option<IpAddr>, now: i64) {
        let address = network(address);
        if !self.windows.contains_key(&address) {
            self.make_room();
        }
        let fresh = Window { since_unix_nano: now, failed: 0 };
        let window = self.windows.entry(address).or_insert(fresh);
        if now.saturating_sub(window.since_unix_nano) >= WINDOW_NANO {
            *window = fresh;
        }
        window.failed = window.failed.saturating_add(1);
        if window.failed == FAILED_MAX {
            window.since_unix_nano = now;
        }
    }

    fn make_room(&mut self) {
        if self.windows.len() < ADDRESSES_MAX {
            return;
        }
        let oldest = self.windows.iter().min_by_key(|(_, window)| window.since_unix_nano);
        if let Some(address) = oldest.map(|(address, _)| *address) {
            self.windows.remove(&address);
        }
    }
}

/// One person owns a whole /64 of IPv6.
fn network(address: Option<IpAddr>) -> Option<IpAddr> {
    address.map(|address| match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::V6(Ipv6Addr::from(octets))
        }
        v4 => v4,
    })
}
