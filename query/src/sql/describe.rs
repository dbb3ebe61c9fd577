//! What a statement asks for and what it will give, without running it: for doors that prepare statements.
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::prelude::SessionContext;

use crate::sql::Read;
use crate::{Error, Result};

/// Parameters of one statement.
const PARAMETERS_MAX: usize = 1_000;

/// A statement before its parameters are known.
#[derive(Debug, Clone)]
pub struct Description {
    /// The columns of its answer.
    pub schema: SchemaRef,
    /// The types of `$1`, `$2`, ...: as the caller said, else as the statement uses them, else text.
    pub parameters: Vec<DataType>,
}

/// Plans `statement` with nulls for its parameters; `hints` are the types that the caller knows. A list that nobody knows
/// the type of is one of texts.
///
/// # Errors
/// As planning; and where parameters are not numbered `$1`, `$2`, ...
pub(crate) async fn describe(
    context: &SessionContext,
    Read { mut statement, is_of_catalogue }: Read,
    hints: &[Option<DataType>],
) -> Result<Description> {
    let mut hints = hints.to_vec();
    for index in super::lists::wanted(&statement).into_iter().filter(|i| *i < PARAMETERS_MAX) {
        hints.resize(hints.len().max(index + 1), None);
        hints[index].get_or_insert(DataType::new_list(DataType::Utf8, true));
    }
    let nulls = hints.iter().map(|hint| match hint {
        Some(list @ DataType::List(_)) => ScalarValue::try_from(list),
        _ => Ok(ScalarValue::Null),
    });
    let nulls = nulls.collect::<Result<Vec<_>, _>>()?;
    let written = super::lists::write(&mut statement, &nulls);
    let plan = super::read_only(context, statement).await?;
    let mut parameters = vec![None; 0];
    let written = written.into_iter().map(|name| (name, None));
    for (name, found) in plan.get_parameter_types()?.into_iter().chain(written) {
        let index = position(&name)?;
        if parameters.len() <= index {
            parameters.resize(index + 1, None);
        }
        parameters[index] = found;
    }
    if is_of_catalogue && parameters.len() < hints.len().min(PARAMETERS_MAX) {
        parameters.resize(hints.len().min(PARAMETERS_MAX), None);
    }
    let hint = |index: usize| hints.get(index).cloned().flatten();
    let parameters: Vec<DataType> = parameters
        .into_iter()
        .enumerate()
        .map(|(index, found)| hint(index).or(found).unwrap_or(DataType::Utf8))
        .collect();
    let plan = if parameters.is_empty() {
        plan
    } else {
        let nulls: Result<Vec<_>, _> = parameters.iter().map(ScalarValue::try_from).collect();
        plan.with_param_values(ParamValues::from(nulls?))?
    };
    // What runs is the optimized plan; its columns are those of this one.
    Ok(Description { schema: Arc::clone(plan.schema().inner()), parameters })
}

/// Where `$7` stands: 6.
fn position(name: &str) -> Result<usize> {
    let number = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
    match number {
        Some(number) if (1..=PARAMETERS_MAX).contains(&number) => Ok(number - 1),
        _ => Err(Error::invalid(format!(
            "the parameter {name} is none: they are $1, $2, ... up to ${PARAMETERS_MAX}"
        ))),
    }
}
