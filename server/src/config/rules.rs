//! `[[sampling.rule]]`: what services are told, by service and operation.
use ingest::sample::{Goal, Rule};

use super::settings::nearest;
use super::value::Value;

/// The key, as a setting.
pub(super) const KEY: &str = "sampling.rule";

const FIELDS: [&str; 4] = ["service", "name", "rate", "traces_per_second"];

/// As TOML: a list of tables. Outside the configuration file it is written in one line:
/// `[{service="shop", name="GET /health", rate=0}]`.
impl Value for Vec<Rule> {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        let table: toml::Table =
            format!("rule = {text}").parse().map_err(|_| format!("{text:?} is no TOML list"))?;
        let Some(toml::Value::Array(rules)) = table.get("rule") else {
            return Err(format!("{text:?} is no list; write [[sampling.rule]]"));
        };
        *self = rules.iter().zip(1..).map(read).collect::<Result<_, _>>()?;
        Ok(())
    }

    fn show(&self) -> String {
        toml::Value::Array(self.iter().map(table).collect()).to_string()
    }
}

fn read((rule, number): (&toml::Value, usize)) -> Result<Rule, String> {
    let toml::Value::Table(fields) = rule else {
        return Err(format!("rule {number} is no table"));
    };
    if let Some(unknown) = fields.keys().find(|field| !FIELDS.contains(&field.as_str())) {
        let nearest = nearest(unknown, FIELDS.into_iter());
        return Err(format!("rule {number}: unknown field {unknown:?}; did you mean {nearest:?}?"));
    }
    let text = |field: &str| match fields.get(field) {
        None => Ok(None),
        Some(toml::Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("rule {number}: {field} is no text")),
    };
    let (service, name) = (text("service")?, text("name")?);
    let goal = match (fields.get("rate"), fields.get("traces_per_second")) {
        (Some(rate), None) => {
            number_in(rate, 0.0..=1.0).map(Goal::Rate).ok_or("rate is no share from 0 to 1")
        }
        (None, Some(target)) => number_in(target, f64::MIN_POSITIVE..=f64::MAX)
            .map(Goal::TracesPerSecond)
            .ok_or("traces_per_second is no number above 0"),
        _ => Err("say either rate or traces_per_second"),
    };
    Ok(Rule { service, name, goal: goal.map_err(|wrong| format!("rule {number}: {wrong}"))? })
}

fn number_in(value: &toml::Value, range: std::ops::RangeInclusive<f64>) -> Option<f64> {
    let number = match value {
        toml::Value::Float(number) => *number,
        toml::Value::Integer(number) => f64::from(i32::try_from(*number).ok()?),
        _ => return None,
    };
    range.contains(&number).then_some(number)
}

fn table(rule: &Rule) -> toml::Value {
    let mut fields = toml::Table::new();
    let texts = [("service", &rule.service), ("name", &rule.name)];
    for (field, text) in texts {
        if let Some(text) = text {
            fields.insert(field.to_owned(), toml::Value::String(text.clone()));
        }
    }
    let (field, number) = match rule.goal {
        Goal::Rate(rate) => ("rate", rate),
        Goal::TracesPerSecond(target) => ("traces_per_second", target),
    };
    fields.insert(field.to_owned(), toml::Value::Float(number));
    toml::Value::Table(fields)
}
