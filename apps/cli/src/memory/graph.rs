//! Facts about people, places and things.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use openhuman::memory::MemoryError;
use openhuman::memory::graph::{Fact, GraphStore as _, Walk};
use openhuman::{Core, FactFilter, GraphServer, KnownFact, Told};
use serde_json::json;

use crate::args::Graph;
use crate::exit::{Code, Failure};
use crate::output::{self, clean_line, line};
use crate::password::typed;
use crate::prompt::confirmed;
use crate::style::{BOLD, DIM, TOOL};

pub(super) async fn run(core: &Core, command: Graph, as_json: bool) -> Result<(), Failure> {
    match command {
        Graph::Facts {
            subject,
            predicate,
            on,
            namespace,
        } => {
            let filter = FactFilter {
                namespace,
                subject,
                predicate,
                valid_at: on.map(end_of).transpose()?,
                ..FactFilter::default()
            };
            facts(core, filter, as_json).await
        }
        Graph::Tell {
            subject,
            predicate,
            object,
        } => {
            let told = Told {
                namespace: None,
                subject,
                predicate,
                object,
            };
            let core = core.clone();
            let id = tokio::task::spawn_blocking(move || core.tell_fact(&told)).await??;
            match as_json {
                true => output::json(&json!({ "id": id })),
                false => line("It holds from now on."),
            }
        }
        Graph::Alias {
            name,
            alias,
            namespace,
        } => {
            let added = core.with_memory(move |memory| {
                let graph = memory.graph();
                graph
                    .add_alias(&namespace, &name, &alias)
                    .map_err(MemoryError::from)
            });
            added.await?;
            match as_json {
                true => output::json(&json!({ "ok": true })),
                false => line("Both names mean the same from now on."),
            }
        }
        Graph::Walk {
            start,
            depth,
            namespace,
        } => walk(core, start, depth, namespace, as_json).await,
        Graph::Connect {
            url,
            database,
            user,
            server_password,
            yes,
            ..
        } => {
            let question = format!(
                "Facts about you and the people you know leave this machine for {}, unsealed there. Go on? [y/N] ",
                clean_line(&url)
            );
            if !yes && !confirmed(&question)? {
                return Err(Failure::new(Code::Denied, "nothing was connected"));
            }
            let password = match &user {
                Some(user) => {
                    let question = format!("Password of {user} there: ");
                    let given = typed(server_password.as_ref(), &question, "--server-password-fd")?;
                    Some(String::clone(&given))
                }
                None => None,
            };
            let server = GraphServer {
                url,
                database,
                user,
                password,
            };
            core.connect_graph(Some(server)).await?;
            match as_json {
                true => output::json(&json!({ "connected": true })),
                false => line(
                    "Connected. `openhuman memory graph push` copies the facts; forgetting reaches it from now on.",
                ),
            }
        }
        Graph::Push => {
            let pushed = core.push_graph().await?;
            match as_json {
                true => output::json(&pushed),
                false => line(format_args!(
                    "The server holds {}.",
                    super::counted(pushed.facts, "fact")
                )),
            }
        }
        Graph::Disconnect => {
            core.connect_graph(None).await?;
            match as_json {
                true => output::json(&json!({ "connected": false })),
                false => line("Disconnected. What the server holds is still there."),
            }
        }
    }
}

/// The last moment of a day, here.
fn end_of(day: Date) -> Result<i64, Failure> {
    let unusable = |error: jiff::Error| Failure::new(Code::Usage, format!("{day} is no usable day: {error}"));
    let next = day.checked_add(1.day()).map_err(unusable)?;
    let start = next.to_zoned(TimeZone::system()).map_err(unusable)?;
    Ok(start.timestamp().as_millisecond() - 1)
}

async fn facts(core: &Core, filter: FactFilter, as_json: bool) -> Result<(), Failure> {
    let reader = core.clone();
    let facts = tokio::task::spawn_blocking(move || reader.facts(&filter)).await??;
    if as_json {
        return output::json(&json!({ "facts": facts }));
    }
    if facts.is_empty() {
        return line(
            "No such fact is known. Texts teach them as they are remembered; `openhuman memory graph tell` does too.",
        );
    }
    facts.iter().try_for_each(show)
}

fn show(known: &KnownFact) -> Result<(), Failure> {
    let Fact {
        subject,
        predicate,
        object,
        valid_from,
        valid_until,
        text,
        ..
    } = &known.fact;
    let until = match valid_until {
        Some(until) => format!(" to {}", day(*until)),
        None => String::new(),
    };
    line(format_args!(
        "{BOLD}{}{BOLD:#} {TOOL}{}{TOOL:#} {BOLD}{}{BOLD:#}  {DIM}from {}{until}, {}{DIM:#}",
        clean_line(subject),
        clean_line(&predicate.to_lowercase().replace('_', " ")),
        clean_line(object.name()),
        day(*valid_from),
        clean_line(&known.namespace)
    ))?;
    if text.is_empty() {
        return Ok(());
    }
    line(format_args!("  {DIM}{}{DIM:#}", crate::ask::preview(text)))
}

fn day(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(
        |_| ms.to_string(),
        |time| time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d").to_string(),
    )
}

async fn walk(
    core: &Core,
    start: String,
    depth: u8,
    namespace: String,
    as_json: bool,
) -> Result<(), Failure> {
    let shown = start.clone();
    let reached = core
        .with_memory(move |memory| {
            let walk = Walk {
                depth,
                ..Walk::from(namespace, start)
            };
            memory.graph().walk(&walk).map_err(MemoryError::from)
        })
        .await?;
    if as_json {
        return output::json(&reached);
    }
    if reached.nodes.is_empty() {
        let message = format!(
            "nobody and nothing is known under the name '{}' in this part of the memory; `openhuman memory graph facts` \
             shows what there is",
            clean_line(&shown)
        );
        return Err(Failure::new(Code::NotFound, message));
    }
    reached.nodes.iter().try_for_each(|node| {
        line(format_args!(
            "{}{BOLD}{}{BOLD:#}",
            "  ".repeat(usize::from(node.depth)),
            clean_line(&node.name)
        ))
    })
}
