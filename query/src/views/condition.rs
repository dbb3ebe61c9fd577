//! A condition that a user gives to a table function as SQL text.
use datafusion::common::Result;
use datafusion::dataframe::DataFrame;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::utils::split_conjunction_owned;

use crate::sql::guard;

/// A checked text; what it names is known once it is planned.
#[derive(Debug, Clone)]
pub(crate) struct Condition(String);

impl Condition {
    /// Refuses what no statement could have in its WHERE.
    ///
    /// # Errors
    /// Words for the user.
    pub(crate) fn parse(text: String) -> std::result::Result<Self, String> {
        match guard::check_condition(&text) {
            Ok(()) => Ok(Self(text)),
            Err(error) => Err(format!("the condition {text:?}: {}", error.message)),
        }
    }

    /// `service = ...`.
    pub(crate) fn service(name: &str) -> Self {
        Self(format!("service = '{}'", name.replace('\'', "''")))
    }

    /// True or false for each row of `frame`, never NULL.
    ///
    /// # Errors
    /// It names a column that is not there, or is no condition.
    pub(crate) fn plan(&self, frame: &DataFrame) -> Result<Expr> {
        Ok(frame.parse_sql_expr(&self.0)?.is_true())
    }

    /// What must all be true of a row.
    ///
    /// # Errors
    /// As [`Self::plan`].
    pub(crate) fn parts(&self, frame: &DataFrame) -> Result<Vec<Expr>> {
        Ok(split_conjunction_owned(frame.parse_sql_expr(&self.0)?))
    }

    /// True where the text has this word.
    pub(crate) fn mentions(&self, word: &str) -> bool {
        self.0.contains(word)
    }
}
