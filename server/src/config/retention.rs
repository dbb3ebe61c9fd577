//! `[[retention.rule]]`: which traces stay longer or shorter than the others.
use storage::retain::Rule;
use web::RuleText;

use super::value::Value;

/// The key, as a setting.
pub(super) const KEY: &str = "retention.rule";

/// As TOML: a list of tables. Outside the configuration file it is written in one line:
/// `[{class="errors", ttl="90d", error=true}]`.
impl Value for Vec<Rule> {
    fn assign(&mut self, text: &str) -> Result<(), String> {
        *self = parse(text)?.into_iter().map(|(_, rule)| rule).collect();
        Ok(())
    }

    fn show(&self) -> String {
        let rules = self.iter().map(|rule| toml::Value::try_from(RuleText::from(rule)).ok());
        toml::Value::Array(rules.flatten().collect()).to_string()
    }
}

/// Rules from a TOML list, each with its text as the HTTP API takes it.
///
/// # Errors
/// The text is no such list, or the rules cannot stand together; the message says where.
pub(crate) fn parse(text: &str) -> Result<Vec<(RuleText, Rule)>, String> {
    let table: toml::Table =
        format!("rule = {text}").parse().map_err(|_| format!("{text:?} is no TOML list"))?;
    of_table(&table).ok_or_else(|| format!("{text:?} is no list; write [[retention.rule]]"))?
}

/// Rules of a file of its own: `[[rule]]` tables.
///
/// # Errors
/// As [`parse`].
pub(crate) fn parse_file(text: &str) -> Result<Vec<(RuleText, Rule)>, String> {
    let table: toml::Table = text.parse().map_err(|error| format!("no TOML: {error}"))?;
    if let Some(unknown) = table.keys().find(|key| *key != "rule") {
        return Err(format!("unknown key {unknown:?}; write [[rule]]"));
    }
    of_table(&table).ok_or("there is no [[rule]]")?
}

fn of_table(table: &toml::Table) -> Option<Result<Vec<(RuleText, Rule)>, String>> {
    let toml::Value::Array(rules) = table.get("rule")? else { return None };
    let mut read = Vec::with_capacity(rules.len());
    for (number, rule) in (1..).zip(rules) {
        let text: Result<RuleText, _> = rule.clone().try_into();
        let both = text.map_err(|error| error.message().to_owned()).and_then(|text| {
            let rule = text.clone().into_rule().map_err(|error| error.message())?;
            Ok((text, rule))
        });
        match both {
            Ok(both) => read.push(both),
            Err(wrong) => return Some(Err(format!("rule {number}: {wrong}"))),
        }
    }
    let rules: Vec<Rule> = read.iter().map(|(_, rule)| rule.clone()).collect();
    Some(Rule::check_all(&rules).map_err(|error| error.to_string()).map(|()| read))
}
