//! Setting skills up: the wizard a skill describes, its options, and the accounts it connects.

use std::io::{self, IsTerminal, Write};

use openhuman::Core;
use openhuman::skills::{AuthKind, AuthMode, Manifest, SetupField, SkillId};
use serde_json::{Map, Value, json};

use crate::exit::{Code, Failure};
use crate::output::{self, clean, clean_line, line};
use crate::style::{BOLD, DIM, ERROR, GOOD};

/// How often a step may be filled in wrongly at the terminal.
const TRIES: usize = 5;

/// Where answers come from.
pub(crate) enum Answers {
    /// From `--values`, by the names of the inputs. Whatever is missing takes its default.
    Given(Map<String, Value>),
    /// From the user at the terminal.
    Terminal,
}

impl Answers {
    /// `--values` when it is there, else the terminal, which must be one.
    pub(crate) fn new(values: Option<&str>) -> Result<Self, Failure> {
        let Some(text) = values else {
            if io::stdin().is_terminal() {
                return Ok(Self::Terminal);
            }
            return Err(Failure::new(
                Code::Denied,
                "nobody can be asked here; give the answers with --values '{\"NAME\": VALUE}'",
            ));
        };
        match serde_json::from_str(text) {
            Ok(Value::Object(values)) => Ok(Self::Given(values)),
            Ok(_) => Err(Failure::new(Code::Usage, "--values must be a JSON object")),
            Err(error) => Err(Failure::new(
                Code::Usage,
                format!("--values is not JSON: {error}"),
            )),
        }
    }

    fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal)
    }

    /// The values of a form.
    fn fill(&self, fields: &[Field]) -> Result<Map<String, Value>, Failure> {
        let mut values = Map::new();
        for field in fields {
            let value = match self {
                Self::Given(given) => given.get(&field.name).cloned().or_else(|| field.default.clone()),
                Self::Terminal => ask(field)?,
            };
            match value {
                Some(value) => drop(values.insert(field.name.clone(), value)),
                None if field.required => {
                    let message = format!(
                        "the input '{}' ({}) is required; add it to --values",
                        field.name, field.label
                    );
                    return Err(Failure::new(Code::Usage, message));
                }
                None => {}
            }
        }
        Ok(values)
    }
}

/// One input, as the terminal needs it.
struct Field {
    name: String,
    kind: String,
    label: String,
    description: Option<String>,
    required: bool,
    default: Option<Value>,
    options: Vec<(String, Value)>,
}

impl Field {
    /// A field as a skill describes it in its wizard.
    fn from_step(json: &Value) -> Option<Self> {
        let text = |key: &str| json.get(key).and_then(Value::as_str).map(str::to_owned);
        let name = text("name")?;
        // A choice is `{label, value}`, or the value alone.
        let option = |option: &Value| {
            let value = match option {
                Value::Object(fields) => fields.get("value")?.clone(),
                plain => plain.clone(),
            };
            let label = option.get("label").and_then(Value::as_str);
            Some((label.map_or_else(|| plain(&value), str::to_owned), value))
        };
        let options = json.get("options").and_then(Value::as_array);
        Some(Self {
            kind: text("type").unwrap_or_else(|| "text".to_owned()),
            label: text("label").unwrap_or_else(|| name.clone()),
            description: text("description"),
            required: json.get("required").and_then(Value::as_bool).unwrap_or(false),
            // Options carry what is set now as their value.
            default: json
                .get("default")
                .or_else(|| json.get("value"))
                .filter(|value| !value.is_null())
                .cloned(),
            options: options.into_iter().flatten().filter_map(option).collect(),
            name,
        })
    }
}

impl From<&SetupField> for Field {
    fn from(field: &SetupField) -> Self {
        Self {
            name: field.name.clone(),
            kind: field.kind.clone(),
            label: field.label.clone(),
            description: field.description.clone(),
            required: field.required,
            default: field.default.clone(),
            options: field
                .options
                .iter()
                .map(|option| (option.label.clone(), option.value.clone()))
                .collect(),
        }
    }
}

/// Asks until the answer fits the input. `None` is an empty answer without a default.
fn ask(field: &Field) -> Result<Option<Value>, Failure> {
    if let Some(description) = &field.description {
        line(format_args!("  {DIM}{}{DIM:#}", clean_line(description)))?;
    }
    for (number, (label, _)) in field.options.iter().enumerate() {
        line(format_args!("    {}  {}", number + 1, clean_line(label)))?;
    }
    let secret = field.kind == "password";
    let hint = match (&field.default, field.kind.as_str()) {
        (_, "password") => " (not shown)".to_owned(),
        (Some(default), _) => format!(" [{}]", clean_line(&plain(default))),
        (None, "boolean") => " [y/n]".to_owned(),
        (None, _) if !field.required => " (may be empty)".to_owned(),
        (None, _) => String::new(),
    };
    let question = format!("  {}{hint}: ", clean_line(&field.label));
    loop {
        let text = read(&question, secret)?;
        let text = text.trim();
        if text.is_empty() && (field.default.is_some() || !field.required) {
            return Ok(field.default.clone());
        }
        match parse(field, text) {
            Ok(value) => return Ok(Some(value)),
            Err(reason) => line(format_args!("  {ERROR}{reason}{ERROR:#}"))?,
        }
    }
}

fn read(question: &str, secret: bool) -> Result<String, Failure> {
    if secret {
        return Ok(rpassword::prompt_password(question)?);
    }
    print!("{question}");
    io::stdout().flush()?;
    let mut text = String::new();
    if io::stdin().read_line(&mut text)? == 0 {
        return Err(Failure::new(
            Code::Interrupted,
            "the input ended; nothing was set up",
        ));
    }
    Ok(text)
}

/// What was typed, as the value of this kind of input.
fn parse(field: &Field, text: &str) -> Result<Value, String> {
    let choice = |text: &str| {
        let by_number = text
            .parse::<usize>()
            .ok()
            .and_then(|number| field.options.get(number.checked_sub(1)?));
        let by_name = || {
            field
                .options
                .iter()
                .find(|(label, value)| label == text || plain(value) == text)
        };
        by_number.or_else(by_name).map(|(_, value)| value.clone())
    };
    match field.kind.as_str() {
        "number" => text
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
            .map(|number| {
                if number.fract() == 0.0 && number.abs() < 9e15 {
                    json!(number as i64)
                } else {
                    json!(number)
                }
            })
            .ok_or_else(|| format!("'{text}' is not a number")),
        "boolean" => match text.to_ascii_lowercase().as_str() {
            "y" | "yes" | "true" | "on" | "1" => Ok(Value::Bool(true)),
            "n" | "no" | "false" | "off" | "0" => Ok(Value::Bool(false)),
            _ => Err("answer y or n".to_owned()),
        },
        // Options may list no choices; the skill knows what it takes.
        "select" if field.options.is_empty() => Ok(Value::String(text.to_owned())),
        "select" => {
            choice(text).ok_or_else(|| format!("'{text}' is not one of the {} choices", field.options.len()))
        }
        "multiselect" => text
            .split(',')
            .map(|one| {
                choice(one.trim()).ok_or_else(|| format!("'{}' is not one of the choices", one.trim()))
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Value::Array),
        _ if text.is_empty() => Err("an answer is needed here".to_owned()),
        _ => Ok(Value::String(text.to_owned())),
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Runs the wizard of a skill to its end.
pub(crate) async fn setup(
    core: &Core,
    skill: &SkillId,
    answers: &Answers,
    as_json: bool,
) -> Result<(), Failure> {
    let engine = core.skills();
    let first = engine.setup_start(skill).await?;
    let Some(mut step) = first.get("step").cloned() else {
        return Err(Failure::new(
            Code::NotFound,
            format!(
                "the skill '{skill}' has no setup; `openhuman skills connect {skill}` connects an account if it has one"
            ),
        ));
    };
    let mut tries = 0;
    loop {
        let fields: Vec<Field> = step
            .get("fields")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Field::from_step)
            .collect();
        if answers.is_terminal() {
            headline(&step)?;
        }
        let values = match answers.fill(&fields) {
            Ok(values) => values,
            Err(failure) => {
                // The skill hears that its wizard was given up; that it did not listen changes nothing.
                let _ = engine.setup_cancel(skill).await;
                return Err(failure);
            }
        };
        let id = step.get("id").cloned().unwrap_or(Value::Null);
        let answer = engine.setup_submit(skill, id, Value::Object(values)).await?;
        match answer.get("status").and_then(Value::as_str) {
            Some("complete") => return completed(skill, &answer, as_json),
            Some("next") => match answer.get("nextStep") {
                Some(next) if next.is_object() => {
                    step = next.clone();
                    tries = 0;
                }
                _ => {
                    return Err(Failure::new(
                        Code::Failed,
                        format!("the skill '{skill}' names no next step"),
                    ));
                }
            },
            _ => {
                let errors = errors(&answer);
                tries += 1;
                if !answers.is_terminal() || tries == TRIES {
                    let _ = engine.setup_cancel(skill).await;
                    return Err(Failure::new(
                        Code::Failed,
                        format!("the setup of {skill} was refused: {errors}"),
                    ));
                }
                line(format_args!("{ERROR}{errors}{ERROR:#}"))?;
            }
        }
    }
}

fn headline(step: &Value) -> Result<(), Failure> {
    let text = |key: &str| step.get(key).and_then(Value::as_str).map(clean_line);
    if let Some(title) = text("title") {
        line(format_args!("{BOLD}{title}{BOLD:#}"))?;
    }
    if let Some(description) = text("description") {
        line(format_args!("{DIM}{description}{DIM:#}"))?;
    }
    Ok(())
}

/// What a skill or its provider objects to.
fn errors(answer: &Value) -> String {
    let listed = answer
        .get("errors")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let each = listed.filter_map(|error| {
        let message = error.get("message").and_then(Value::as_str)?;
        let field = error
            .get("field")
            .and_then(Value::as_str)
            .filter(|field| !field.is_empty());
        Some(field.map_or_else(
            || clean_line(message),
            |field| format!("{}: {}", clean_line(field), clean_line(message)),
        ))
    });
    let text = each.collect::<Vec<_>>().join("; ");
    if !text.is_empty() {
        return text;
    }
    let message = answer.get("message").and_then(Value::as_str);
    message.map_or_else(|| "it gave no reason".to_owned(), clean_line)
}

fn completed(skill: &SkillId, answer: &Value, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return output::json(&json!({ "skill": skill.as_str(), "result": answer }));
    }
    let message = answer.get("message").and_then(Value::as_str);
    let message = message.map_or_else(|| format!("{skill} is set up."), clean);
    line(format_args!("{GOOD}{message}{GOOD:#}"))
}

/// Connects an account in the way the user chooses.
pub(crate) async fn connect(
    core: &Core,
    manifest: &Manifest,
    mode: Option<&str>,
    answers: &Answers,
    as_json: bool,
) -> Result<(), Failure> {
    let skill = &manifest.id;
    let modes: Vec<&AuthMode> = manifest.setup.auth.iter().flat_map(|auth| &auth.modes).collect();
    let mode = choose(skill, &modes, mode, answers)?;
    let credentials = match mode.kind {
        AuthKind::SelfHosted => answers.fill(&mode.fields.iter().map(Field::from).collect::<Vec<_>>())?,
        AuthKind::Text => {
            let field = Field {
                name: "content".to_owned(),
                kind: "password".to_owned(),
                label: mode.label.clone().unwrap_or_else(|| "Token".to_owned()),
                description: mode.text_description.clone(),
                required: true,
                default: None,
                options: Vec::new(),
            };
            answers.fill(&[field])?
        }
        _ => {
            return Err(Failure::new(
                Code::Unavailable,
                "a managed connection is made in the browser by the backend you are logged in at; the command line cannot open it. Choose --mode self_hosted or text where the skill offers it",
            ));
        }
    };
    let params = json!({ "mode": kind_name(mode.kind), "credentials": credentials });
    let answer = core.skills().auth_complete(skill, &params).await?;
    if answer.get("status").and_then(Value::as_str) == Some("error") {
        let reason = errors(&answer);
        return Err(Failure::new(
            Code::Failed,
            format!("the account was not connected: {reason}"),
        ));
    }
    completed(skill, &answer, as_json)
}

fn kind_name(kind: AuthKind) -> &'static str {
    match kind {
        AuthKind::SelfHosted => "self_hosted",
        AuthKind::Text => "text",
        _ => "managed",
    }
}

fn choose<'a>(
    skill: &SkillId,
    modes: &[&'a AuthMode],
    wanted: Option<&str>,
    answers: &Answers,
) -> Result<&'a AuthMode, Failure> {
    let names = || {
        modes
            .iter()
            .map(|mode| kind_name(mode.kind))
            .collect::<Vec<_>>()
            .join(", ")
    };
    if let Some(wanted) = wanted {
        let found = modes.iter().find(|mode| kind_name(mode.kind) == wanted);
        return found.copied().ok_or_else(|| {
            Failure::new(
                Code::NotFound,
                format!(
                    "the skill '{skill}' does not connect by '{wanted}'; it offers: {}",
                    names()
                ),
            )
        });
    }
    match modes {
        [] => Err(Failure::new(
            Code::NotFound,
            format!("the skill '{skill}' connects no account"),
        )),
        [only] => Ok(only),
        _ if !answers.is_terminal() => Err(Failure::new(
            Code::Usage,
            format!(
                "the skill '{skill}' offers several ways; add --mode with one of: {}",
                names()
            ),
        )),
        _ => {
            let field = Field {
                name: "mode".to_owned(),
                kind: "select".to_owned(),
                label: "How do you want to connect".to_owned(),
                description: None,
                required: true,
                default: None,
                options: modes
                    .iter()
                    .map(|mode| {
                        let name = kind_name(mode.kind);
                        (mode.label.clone().unwrap_or_else(|| name.to_owned()), json!(name))
                    })
                    .collect(),
            };
            let chosen = ask(&field)?.unwrap_or_default();
            let found = modes.iter().find(|mode| json!(kind_name(mode.kind)) == chosen);
            found
                .copied()
                .ok_or_else(|| Failure::new(Code::Usage, "choose one of the ways"))
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn field(kind: &str) -> Field {
        let json =
            json!({ "name": "f", "type": kind, "options": [{ "label": "Every hour", "value": "60" }, 5] });
        Field::from_step(&json).unwrap()
    }

    #[test]
    fn answers_become_values_of_their_kind() {
        assert_eq!(parse(&field("number"), "12"), Ok(json!(12)));
        assert_eq!(parse(&field("number"), "1.5"), Ok(json!(1.5)));
        assert!(parse(&field("number"), "inf").is_err());
        assert_eq!(parse(&field("boolean"), "Yes"), Ok(json!(true)));
        assert!(parse(&field("boolean"), "maybe").is_err());
        assert_eq!(parse(&field("select"), "1"), Ok(json!("60")));
        assert_eq!(parse(&field("select"), "Every hour"), Ok(json!("60")));
        assert_eq!(parse(&field("select"), "5"), Ok(json!(5)));
        assert!(parse(&field("select"), "3").is_err());
        assert_eq!(parse(&field("multiselect"), "1, 5"), Ok(json!(["60", 5])));
        assert_eq!(parse(&field("text"), "x"), Ok(json!("x")));
    }

    #[test]
    fn given_answers_take_defaults_and_name_what_is_missing() {
        let fields: Vec<Field> = [
            json!({ "name": "url", "required": true }),
            json!({ "name": "every", "default": "10" }),
            json!({ "name": "note" }),
        ]
        .iter()
        .filter_map(Field::from_step)
        .collect();
        let given = Answers::new(Some(r#"{"url": "https://example.com"}"#)).unwrap();
        assert_eq!(
            Value::Object(given.fill(&fields).unwrap()),
            json!({ "url": "https://example.com", "every": "10" })
        );
        let none = Answers::new(Some("{}")).unwrap();
        assert!(none.fill(&fields).is_err());
        assert!(Answers::new(Some("[]")).is_err() && Answers::new(Some("{")).is_err());
    }

    #[test]
    fn refusals_are_told_by_field() {
        let answer = json!({ "status": "error", "errors": [{ "field": "url", "message": "unreachable" }, { "field": "", "message": "no" }] });
        assert_eq!(errors(&answer), "url: unreachable; no");
        assert_eq!(errors(&json!({})), "it gave no reason");
    }
}
