//! End to end: the real binary, real sockets, real signals.
//!
//! Each test starts `spanlake` processes of its own on free loopback ports and ends them.

mod crash;
mod demo;
mod import;
mod shutdown;
mod support;
mod tail;
