//! The options of a skill.

use openhuman::Core;
use openhuman::skills::SkillId;
use serde_json::{Value, json};

use super::form::{Field, parse, plain};
use crate::exit::{Code, Failure};
use crate::output::{self, clean_line, line};
use crate::style::{BOLD, DIM, GOOD};

/// Lists the options of a skill, or sets one.
pub(crate) async fn options(
    core: &Core,
    skill: &SkillId,
    change: Option<(&str, &str)>,
    as_json: bool,
) -> Result<(), Failure> {
    let engine = core.skills();
    let listed = engine.list_options(skill).await?;
    let fields: Vec<Field> = listed
        .get("options")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Field::from_step)
        .collect();
    let Some((name, text)) = change else {
        return show_options(skill, &listed, &fields, as_json);
    };
    let names = || {
        fields
            .iter()
            .map(|field| field.name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let field = fields.iter().find(|field| field.name == name).ok_or_else(|| {
        Failure::new(
            Code::NotFound,
            format!("the skill '{skill}' has no option '{name}'; it has: {}", names()),
        )
    })?;
    let value =
        parse(field, text).map_err(|reason| Failure::new(Code::Usage, format!("{name}: {reason}")))?;
    engine.set_option(skill, name, value.clone()).await?;
    if as_json {
        return output::json(&json!({ "skill": skill.as_str(), "option": name, "value": value }));
    }
    line(format_args!("{name} is now {}.", clean_line(&plain(&value))))
}

fn show_options(skill: &SkillId, listed: &Value, fields: &[Field], as_json: bool) -> Result<(), Failure> {
    if as_json {
        let options = listed.get("options").cloned().unwrap_or_else(|| json!([]));
        return output::json(&json!({ "skill": skill.as_str(), "options": options }));
    }
    if fields.is_empty() {
        return line(format_args!("{skill} has no options."));
    }
    for field in fields {
        let value = field
            .default
            .as_ref()
            .map_or_else(|| "not set".to_owned(), |value| clean_line(&plain(value)));
        line(format_args!(
            "{BOLD}{}{BOLD:#} = {GOOD}{value}{GOOD:#}  {}",
            field.name,
            clean_line(&field.label)
        ))?;
        if let Some(description) = &field.description {
            line(format_args!("  {DIM}{}{DIM:#}", clean_line(description)))?;
        }
        let choices: Vec<String> = field
            .options
            .iter()
            .map(|(_, value)| clean_line(&plain(value)))
            .collect();
        if !choices.is_empty() {
            line(format_args!("  {DIM}one of: {}{DIM:#}", choices.join(", ")))?;
        }
    }
    Ok(())
}
