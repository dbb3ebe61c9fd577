//! `column LIKE 'SELECT order_id%'`: `_` stands for any character, which names in SQL are full of.
//!
//! The stock function makes a regular expression of such a pattern, once for each dictionary; that took a fifth of a search.
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{Column, LikeExpr, Literal};

/// A pattern without `%`, but perhaps at its end, and without escaped characters.
#[derive(Debug)]
pub(super) struct Like {
    start: String,
    /// More may follow.
    is_open: bool,
    negated: bool,
}

impl Like {
    /// Of `expr`; `None` of any other expression or pattern.
    pub(super) fn of(expr: &Arc<dyn PhysicalExpr>) -> Option<Self> {
        let like = expr.downcast_ref::<LikeExpr>()?;
        like.expr().downcast_ref::<Column>()?;
        let pattern = match like.pattern().downcast_ref::<Literal>()?.value() {
            ScalarValue::Utf8View(Some(pattern))
            | ScalarValue::Utf8(Some(pattern))
            | ScalarValue::LargeUtf8(Some(pattern)) => pattern,
            _ => return None,
        };
        let (start, is_open) = match pattern.strip_suffix('%') {
            Some(start) => (start, true),
            None => (pattern.as_str(), false),
        };
        if like.case_insensitive() || !start.contains('_') || start.contains(['%', '\\']) {
            return None;
        }
        Some(Self { start: start.to_owned(), is_open, negated: like.negated() })
    }

    /// Whether it holds for `text`.
    pub(super) fn holds(&self, text: &str) -> bool {
        self.matches(text) != self.negated
    }

    fn matches(&self, text: &str) -> bool {
        let mut own = text.chars();
        for wanted in self.start.chars() {
            match own.next() {
                Some(_) if wanted == '_' => {}
                Some(character) if character == wanted => {}
                _ => return false,
            }
        }
        self.is_open || own.next().is_none()
    }
}

#[cfg(test)]
mod tests;
