//! Measurements: a seeded span generator and end-to-end runs.
