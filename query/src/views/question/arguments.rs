//! Arguments of a table function, read one by one.
use arrow::datatypes::DataType;
use datafusion::catalog::Session;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;
use storage::TimeRange;

use crate::views::function::{constant, moment};
use crate::views::range;

/// The arguments of one call. Those left out at the end are NULL.
pub(crate) struct Arguments<'a> {
    exprs: &'a [Expr],
    session: &'a dyn Session,
    now_unix_nano: i64,
}

impl<'a> Arguments<'a> {
    /// `exprs` as the call has them; `now_unix_nano` is what relative times start from.
    pub(crate) fn new(exprs: &'a [Expr], session: &'a dyn Session, now_unix_nano: i64) -> Self {
        Self { exprs, session, now_unix_nano }
    }

    /// Refuses more arguments than `form` shows.
    pub(crate) fn at_most(&self, count: usize, form: &str) -> Result<(), String> {
        if self.exprs.len() > count {
            return Err(format!("at most {count} arguments: {form}"));
        }
        Ok(())
    }

    /// The text at `position`; `None` where it is NULL, empty or left out.
    pub(crate) fn text(&self, position: usize) -> Result<Option<String>, String> {
        let Some(value) = self.value(position)? else { return Ok(None) };
        match value.try_as_str() {
            Some(text) => Ok(text.filter(|text| !text.trim().is_empty()).map(str::to_owned)),
            None => Err(format!("argument {} is a text, not {}", position + 1, value.data_type())),
        }
    }

    /// The whole number at `position`, which may be a text; `None` where it is NULL, empty or left out.
    pub(crate) fn whole(&self, position: usize) -> Result<Option<i64>, String> {
        let Some(value) = self.value(position)? else { return Ok(None) };
        let text = value.try_as_str().flatten().map(str::trim);
        if text == Some("") {
            return Ok(None);
        }
        let number = match (text, value.cast_to(&DataType::Int64)) {
            (Some(text), _) => text.parse().ok(),
            (None, Ok(ScalarValue::Int64(number))) if value.data_type().is_integer() => number,
            _ => None,
        };
        let wrong = || format!("argument {} is a whole number, not {value}", position + 1);
        number.map(Some).ok_or_else(wrong)
    }

    /// The duration at `position` in nanoseconds: `'30s'`, or a whole number of nanoseconds.
    pub(crate) fn duration(&self, position: usize) -> Result<Option<i64>, String> {
        if let Ok(whole) = self.whole(position) {
            return Ok(whole);
        }
        let text = self.text(position)?;
        let nanos = text.as_deref().and_then(|text| range::duration(text.trim()));
        let wrong = || format!("argument {} is a duration such as '30s'", position + 1);
        nanos.map(Some).ok_or_else(wrong)
    }

    /// The trace id at `position`, which has to be there.
    pub(crate) fn trace_id(&self, position: usize) -> Result<[u8; 16], String> {
        let text = self.needed(position, "a trace id of 32 hex digits")?;
        let wrong = || format!("argument {} is a trace id of 32 hex digits", position + 1);
        trace_id(&text).ok_or_else(wrong)
    }

    fn value(&self, position: usize) -> Result<Option<ScalarValue>, String> {
        let Some(expr) = self.exprs.get(position) else { return Ok(None) };
        let value = match expr {
            Expr::Literal(value, _) => value.clone(),
            other => constant(other, self.session, self.now_unix_nano)?,
        };
        Ok((!value.is_null()).then_some(value))
    }

    /// The text at `position`, which has to be there: `what`.
    pub(crate) fn needed(&self, position: usize, what: &str) -> Result<String, String> {
        self.text(position)?.ok_or_else(|| format!("argument {} is {what}", position + 1))
    }

    /// The range whose sides stand at `position` and after it.
    pub(crate) fn range(&self, position: usize) -> Result<TimeRange, String> {
        let side = |position: usize| match self.exprs.get(position) {
            Some(expr) => moment(expr, self.session, self.now_unix_nano),
            None => Ok(None),
        };
        range::range(side(position)?, side(position + 1)?)
    }
}

/// 32 hex digits.
pub(super) fn trace_id(text: &str) -> Option<[u8; 16]> {
    let mut id = [0; 16];
    hex::decode_to_slice(text.trim(), &mut id).ok().map(|()| id)
}
