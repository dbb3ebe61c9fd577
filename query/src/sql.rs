//! SQL text -> a statement that is known to read only -> a plan.
pub(crate) mod describe;
pub(crate) mod guard;
mod lists;

use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::context::SQLOptions;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;

use crate::{Error, Result};

/// Nesting that the parser follows: parentheses, subqueries, function calls.
pub(crate) const RECURSION_MAX: usize = 100;

/// A statement that passed the guard.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) statement: Statement,
    /// It asks for PostgreSQL's catalogue, and is written anew.
    pub(crate) is_of_catalogue: bool,
}

/// Plans a checked statement; `params` fill `$1`, `$2`, ... Of a question about the catalogue, parts may have been left out
/// together with their parameters.
///
/// # Errors
/// Unknown names, types that do not fit, missing parameters.
pub(crate) async fn plan(
    context: &SessionContext,
    Read { mut statement, is_of_catalogue }: Read,
    params: Vec<ScalarValue>,
) -> Result<LogicalPlan> {
    let written = lists::write(&mut statement, &params);
    let plan = read_only(context, statement).await?;
    let mut needed = plan.get_parameter_names()?;
    needed.extend(written);
    let left_out = is_of_catalogue && needed.len() < params.len();
    if needed.len() != params.len() && !left_out {
        let (needed, given) = (needed.len(), params.len());
        return Err(Error::invalid(format!(
            "the statement has {needed} parameters ($1, ...), {given} were given"
        )));
    }
    Ok(match params.is_empty() {
        true => plan,
        false => plan.with_param_values(ParamValues::from(params))?,
    })
}

/// The plan of `statement`, its parameters still open. The second belt: the guard has looked already.
async fn read_only(context: &SessionContext, statement: Statement) -> Result<LogicalPlan> {
    let plan = context.state().statement_to_plan(statement).await?;
    let options =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    options.verify_plan(&plan)?;
    Ok(plan)
}
