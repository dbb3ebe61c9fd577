//! The binary `spanlake`.

fn main() {}
