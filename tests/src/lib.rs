//! Rules about the workspace itself (`tidy.rs`). End-to-end tests lie in `e2e/` and belong to the package
//! `server`, whose binary they start; tests with real clients lie in `clients/`.
