//! The functions that SQL may call. What is not listed does not exist.
use std::sync::Arc;

use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

use crate::function;

/// Left out: they make values of any size out of nothing (`repeat('x', 2000000000)`).
const LEFT_OUT: &[&str] =
    &["array_repeat", "array_resize", "generate_series", "lpad", "range", "repeat", "rpad"];

/// Scalar functions.
pub(crate) fn scalar() -> Vec<Arc<ScalarUDF>> {
    let mut all = SessionStateDefaults::default_scalar_functions();
    all.retain(|function| !LEFT_OUT.contains(&function.name()));
    all.extend(function::of_ours());
    all
}

/// Aggregate functions.
pub(crate) fn aggregate() -> Vec<Arc<AggregateUDF>> {
    SessionStateDefaults::default_aggregate_functions()
}

/// Window functions.
pub(crate) fn window() -> Vec<Arc<WindowUDF>> {
    SessionStateDefaults::default_window_functions()
}
