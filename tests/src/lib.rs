//! Tests across crates live in `e2e/`, `slt/` and friends; this library holds what they share.
