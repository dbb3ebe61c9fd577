//! HTTP API and page: parameters in, JSON, CSV, Arrow, Parquet and drawings out.
