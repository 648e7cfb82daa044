//! What skills did and will do: schedules, what left the machine, and the switches for it.

use jiff::Timestamp;
use openhuman::Core;
use openhuman::skills::{EgressCause, EgressOutcome, EgressRecord, ScheduleError, ScheduleInfo, SkillId};
use serde_json::{Value, json};

use crate::exit::{Code, Failure};
use crate::output::{self, clean, clean_line, line};
use crate::style::{BOLD, DIM, ERROR, GOOD, TOOL};

/// Forgets the accounts of a skill.
pub(crate) async fn disconnect(core: &Core, skill: &str, as_json: bool) -> Result<(), Failure> {
    let id = core.skill(skill)?;
    core.skills().disconnect(&id).await?;
    if as_json {
        return output::json(&json!({ "disconnected": skill }));
    }
    line(format_args!(
        "{skill} is disconnected; what it connected with is forgotten."
    ))
}

/// Lets a skill fetch what is new, and says how it went.
pub(crate) async fn sync(core: &Core, skill: &SkillId, as_json: bool) -> Result<(), Failure> {
    let answer = core.skills().rpc(skill, "skill/sync", Value::Null).await?;
    let text = |key: &str| answer.get(key).and_then(Value::as_str).map(clean);
    if answer.get("ok") == Some(&Value::Bool(false)) && text("status").as_deref() != Some("no_handler") {
        let reason = text("message").unwrap_or_else(|| "it gave no reason".to_owned());
        return Err(Failure::new(
            Code::Failed,
            format!("{skill} could not fetch what is new: {reason}"),
        ));
    }
    if as_json {
        return output::json(&json!({ "skill": skill.as_str(), "result": answer }));
    }
    match text("status").as_deref() {
        Some("no_handler") => line(format_args!("{skill} has nothing to fetch.")),
        Some("started") => line(format_args!(
            "{skill} has started to fetch; it goes on while OpenHuman runs."
        )),
        _ => line(text("message").unwrap_or_else(|| format!("{skill} has fetched what is new."))),
    }
}

/// Shows the schedules of a skill, or runs one.
pub(crate) async fn schedules(
    core: &Core,
    skill: &SkillId,
    run: Option<&str>,
    as_json: bool,
) -> Result<(), Failure> {
    let engine = core.skills();
    if let Some(schedule) = run {
        let ran = engine.run_schedule(skill, schedule).await;
        ran.map_err(|error| {
            let code = match error {
                ScheduleError::Unknown { .. } => Code::NotFound,
                _ => Code::Failed,
            };
            let names: Vec<_> = engine
                .schedules(skill)
                .into_iter()
                .map(|known| known.id)
                .collect();
            let hint = match (code, names.is_empty()) {
                (Code::NotFound, true) => "; it has none".to_owned(),
                (Code::NotFound, false) => format!("; it has: {}", clean_line(&names.join(", "))),
                _ => String::new(),
            };
            Failure::new(code, format!("{error}{hint}"))
        })?;
    }
    let all = engine.schedules(skill);
    if as_json {
        return output::json(&json!({ "skill": skill.as_str(), "schedules": all }));
    }
    if all.is_empty() {
        return line(format_args!("{skill} has no schedules."));
    }
    all.iter().try_for_each(show_schedule)
}

fn show_schedule(schedule: &ScheduleInfo) -> Result<(), Failure> {
    let next = schedule.next_ms.map_or_else(|| "never again".to_owned(), moment);
    line(format_args!(
        "{BOLD}{}{BOLD:#}  {TOOL}{}{TOOL:#} {}  next {GOOD}{next}{GOOD:#}",
        clean_line(&schedule.id),
        clean_line(&schedule.expression),
        clean_line(&schedule.timezone),
    ))?;
    if let Some(last) = schedule.last_ms {
        line(format_args!("  {DIM}last {}{DIM:#}", moment(last)))?;
    }
    if let Some(error) = &schedule.last_error {
        line(format_args!("  {ERROR}{}{ERROR:#}", clean(error)))?;
    }
    Ok(())
}

/// Shows what skills sent.
pub(crate) async fn egress(
    core: &Core,
    skill: Option<&str>,
    refused: bool,
    limit: usize,
    as_json: bool,
) -> Result<(), Failure> {
    let skill = skill.map(|skill| core.skill(skill)).transpose()?;
    let records = core.egress(skill.as_ref(), refused, limit).await?;
    if as_json {
        return output::json(&json!({ "egress": records }));
    }
    if records.is_empty() {
        return line(if refused {
            "Nothing was refused."
        } else {
            "Nothing was sent."
        });
    }
    records.iter().try_for_each(show_record)
}

fn show_record(record: &EgressRecord) -> Result<(), Failure> {
    let (style, outcome) = match &record.outcome {
        EgressOutcome::Answered { status } => (GOOD, status.to_string()),
        EgressOutcome::Refused { reason } => (ERROR, format!("refused: {reason}")),
        EgressOutcome::Failed { reason } => (ERROR, format!("failed: {reason}")),
        EgressOutcome::Open => (GOOD, "still open".to_owned()),
        EgressOutcome::Closed { code } => (DIM, format!("closed {code}")),
        _ => (DIM, "given up".to_owned()),
    };
    let cause = match &record.cause {
        EgressCause::Tool { name, .. } | EgressCause::Hook { name } => clean_line(name),
        EgressCause::Timer => "a timer".to_owned(),
        _ => "background work".to_owned(),
    };
    line(format_args!(
        "{DIM}{}{DIM:#}  {BOLD}{}{BOLD:#}  {} {}://{}:{}{}  {style}{}{style:#}",
        moment(record.time_ms),
        record.skill_id,
        clean_line(&record.method),
        record.scheme,
        clean_line(&record.host),
        record.port,
        clean_line(&record.path),
        clean_line(&outcome),
    ))?;
    let secrets = if record.secrets.is_empty() {
        String::new()
    } else {
        format!(", with the secret {}", clean_line(&record.secrets.join(", ")))
    };
    line(format_args!(
        "  {DIM}for {cause}, {} bytes out, {} in, {} ms{secrets}{DIM:#}",
        record.bytes_out, record.bytes_in, record.duration_ms
    ))
}

/// Switches a skill on or off for the next start.
pub(crate) fn enable(core: &Core, skill: &str, enabled: bool, as_json: bool) -> Result<(), Failure> {
    let id = core.skill(skill)?;
    let stored = core.skills().set_enabled(&id, Some(enabled));
    stored.map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    if as_json {
        return output::json(&json!({ "skill": skill, "enabled": enabled }));
    }
    line(format_args!(
        "{skill} {} with OpenHuman from now on.",
        if enabled { "starts" } else { "does not start" }
    ))
}

/// A moment in UTC, to the second.
fn moment(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(
        |_| ms.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
    )
}
