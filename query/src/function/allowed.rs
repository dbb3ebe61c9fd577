//! The functions that SQL may call. What is not listed does not exist, so a new version of the library adds nothing.
//!
//! Not listed on purpose: `input_file_name`, `file_row_index` and `version` (they tell of the server), `range`,
//! `generate_series`, `array_repeat` and `array_resize` (values of any size out of nothing), and the approximate
//! percentiles (wrong by multiples on latencies; `quantile` and `percentile_cont` are exact).
use std::sync::Arc;

use datafusion::execution::SessionStateDefaults;
use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

use crate::function;
use crate::function::bounded::{Bounded, Growth};

const SCALAR: &str = "
    arrow_cast arrow_try_cast arrow_typeof cast_to_type try_cast_to_type coalesce get_field greatest least
    named_struct nullif nvl nvl2 overlay struct
    current_date current_time date_bin date_part date_trunc from_unixtime make_date make_time now to_char to_date
    to_local_time to_time to_timestamp to_timestamp_micros to_timestamp_millis to_timestamp_nanos
    to_timestamp_seconds to_unixtime
    decode encode
    abs acos acosh asin asinh atan atan2 atanh cbrt ceil cos cosh cot degrees exp factorial floor gcd isnan iszero
    lcm ln log log10 log2 nanvl pi power radians random round signum sin sinh sqrt tan tanh trunc
    regexp_count regexp_instr regexp_like regexp_match regexp_replace
    ascii bit_length btrim chr concat concat_ws contains ends_with levenshtein lower ltrim octet_length repeat
    replace rtrim split_part starts_with to_hex upper uuid
    character_length find_in_set initcap left lpad reverse right rpad strpos substr substr_index translate
    array_append array_concat array_dims array_distinct array_element array_except array_has array_has_all
    array_has_any array_intersect array_length array_max array_min array_ndims array_pop_back array_pop_front
    array_position array_positions array_prepend array_remove array_remove_all array_remove_n array_replace
    array_replace_all array_replace_n array_reverse array_slice array_sort array_to_string array_union arrays_zip
    array_any_value cardinality empty flatten make_array map map_entries map_extract map_keys map_values
    string_to_array
";

const AGGREGATE: &str = "
    any_value approx_distinct array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop
    covar_samp first_value grouping last_value max median min nth_value percentile_cont
    regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy
    stddev stddev_pop string_agg sum var var_pop
";

const WINDOW: &str = "cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number";

/// Listed functions whose results can be much larger than their arguments.
const GROWING: &[(&str, Growth)] = &[
    ("array_append", Growth::Sum),
    ("array_concat", Growth::Sum),
    ("array_prepend", Growth::Sum),
    ("array_to_string", Growth::Sum),
    ("arrays_zip", Growth::Sum),
    ("concat", Growth::Sum),
    ("concat_ws", Growth::Sum),
    ("encode", Growth::Sum),
    ("lpad", Growth::Length),
    ("make_array", Growth::Sum),
    ("named_struct", Growth::Sum),
    ("regexp_replace", Growth::Replacement),
    ("repeat", Growth::Times),
    ("replace", Growth::Replacement),
    ("rpad", Growth::Length),
    ("string_to_array", Growth::Sum),
    ("struct", Growth::Sum),
];

fn is_listed(list: &str, name: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == name)
}

/// Scalar functions.
pub(crate) fn scalar() -> Vec<Arc<ScalarUDF>> {
    let mut all = SessionStateDefaults::default_scalar_functions();
    all.retain(|function| is_listed(SCALAR, function.name()));
    let mut all: Vec<_> = all.into_iter().map(bounded).collect();
    all.extend(function::of_ours());
    all
}

fn bounded(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match GROWING.iter().find(|(name, _)| *name == function.name()) {
        Some((_, growth)) => Arc::new(ScalarUDF::from(Bounded::new(function, *growth))),
        None => function,
    }
}

/// Aggregate functions.
pub(crate) fn aggregate() -> Vec<Arc<AggregateUDF>> {
    let mut all = SessionStateDefaults::default_aggregate_functions();
    all.retain(|function| is_listed(AGGREGATE, function.name()));
    all
}

/// Window functions.
pub(crate) fn window() -> Vec<Arc<WindowUDF>> {
    let mut all = SessionStateDefaults::default_window_functions();
    all.retain(|function| is_listed(WINDOW, function.name()));
    all
}

#[cfg(test)]
mod tests;
