//! Arguments of a table function, read one by one.
use datafusion::catalog::Session;
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
        let Some(expr) = self.exprs.get(position) else { return Ok(None) };
        let value = match expr {
            Expr::Literal(value, _) => value.clone(),
            other => constant(other, self.session, self.now_unix_nano)?,
        };
        if value.is_null() {
            return Ok(None);
        }
        match value.try_as_str() {
            Some(text) => Ok(text.filter(|text| !text.trim().is_empty()).map(str::to_owned)),
            None => Err(format!("argument {} is a text, not {}", position + 1, value.data_type())),
        }
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
