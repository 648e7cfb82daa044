//! Setting skills up: the wizard a skill describes, its options, and the accounts it connects.

mod form;
mod options;

use openhuman::Core;
use openhuman::skills::{AuthKind, AuthMode, Manifest, SkillId};
use serde_json::{Value, json};

pub(crate) use self::form::Answers;
use self::form::{Field, ask};
pub(crate) use self::options::options;
use crate::exit::{Code, Failure};
use crate::output::{self, clean, clean_line, line};
use crate::style::{BOLD, DIM, ERROR, GOOD};

/// How often a step may be filled in wrongly at the terminal.
const TRIES: usize = 5;

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
            match connects(core, skill) {
                true => format!(
                    "the skill '{skill}' has no setup of its own; `openhuman skills connect {skill}` connects an account"
                ),
                false => format!("the skill '{skill}' has no setup: it works as it is"),
            },
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

/// Whether the skill connects an account.
fn connects(core: &Core, skill: &SkillId) -> bool {
    let package = core.skills().package(skill);
    package.is_some_and(|package| package.manifest().setup.auth.is_some())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_by_field() {
        let answer = json!({ "status": "error", "errors": [{ "field": "url", "message": "unreachable" }, { "field": "", "message": "no" }] });
        assert_eq!(errors(&answer), "url: unreachable; no");
        assert_eq!(errors(&json!({})), "it gave no reason");
    }
}
