//! `openhuman mcp add|list|remove|test`: other programs' servers.

use std::time::Duration;

use openhuman::mcp::client::ServerState;
use openhuman::mcp::client::config::{ServerConfig, Transport};
use openhuman::mcp::client::pin::PinStore;
use openhuman::{McpServers, Network};
use serde_json::{Map, Value, json};

use super::args::Add;
use crate::args::Global;
use crate::exit::{Code, Failure};
use crate::output::{self, clean_line, line};
use crate::session;
use crate::style::{BOLD, DIM, ERROR, GOOD, WARNING};

/// How long a server may take to come up in `test`, beyond its own limit.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) fn servers(global: &Global) -> Result<McpServers, Failure> {
    Ok(McpServers::of(&session::home(global)?, Network::from_env()))
}

pub(super) fn add(global: &Global, add: &Add) -> Result<(), Failure> {
    let servers = servers(global)?;
    let mut server = match (&add.url, add.command.split_first()) {
        (Some(url), _) => {
            json!({"type": "http", "url": url, "headers": pairs(&add.header, ':', "--header")?})
        }
        (None, Some((command, args))) => {
            json!({"command": command, "args": args, "env": pairs(&add.env, '=', "--env")?})
        }
        (None, None) => return Err(Failure::new(Code::Usage, "name a program after -- or a --url")),
    };
    if add.trusted {
        server["trusted"] = true.into();
    }
    servers.add(&add.name, server)?;
    if global.json {
        return output::json(&json!({"added": add.name}));
    }
    line(format_args!(
        "added {}; see what it offers and accept it: openhuman mcp test {} --accept",
        clean_line(&add.name),
        quoted(&add.name)
    ))
}

/// A name as a shell takes it.
fn quoted(name: &str) -> String {
    let name = clean_line(name);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.chars().all(is_plain) {
        name
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

fn pairs(given: &[String], between: char, option: &str) -> Result<Map<String, Value>, Failure> {
    let pairs = given.iter().map(|pair| {
        let (name, value) = pair.split_once(between).ok_or_else(|| {
            Failure::new(
                Code::Usage,
                format!("{option} wants a name, '{between}' and a value"),
            )
        })?;
        Ok((name.trim().to_owned(), Value::from(value.trim())))
    });
    pairs.collect()
}

pub(super) fn list(global: &Global) -> Result<(), Failure> {
    let servers = servers(global)?;
    let pins = servers.pins()?;
    // Nothing is started, so what environment variables hold does not matter.
    let all = servers.file()?.servers(&|name| Some(format!("${{{name}}}")));
    if global.json {
        let all: Vec<Value> = all
            .iter()
            .map(|server| match server {
                Ok(server) => json!({
                    "name": server.name, "id": server.id, "at": place(server), "disabled": server.disabled,
                    "trusted": server.trusted, "accepted": pins.get(&server.id).is_some(),
                }),
                Err(error) => json!({"error": error.to_string()}),
            })
            .collect();
        return output::json(&all);
    }
    if all.is_empty() {
        return line("no MCP servers were added; add one: openhuman mcp add NAME -- PROGRAM");
    }
    for server in all {
        match server {
            Ok(server) => {
                let state = match (server.disabled, pins.get(&server.id)) {
                    (true, _) => "disabled".to_owned(),
                    (false, None) => "not accepted yet".to_owned(),
                    (false, Some(pins)) => format!("{} tools accepted", pins.len()),
                };
                line(format_args!(
                    "{BOLD}{}{BOLD:#}  {}  {DIM}{state}{DIM:#}",
                    clean_line(&server.name),
                    clean_line(&place(&server))
                ))?;
            }
            Err(error) => line(format_args!(
                "{ERROR}unusable:{ERROR:#} {}",
                clean_line(&error.to_string())
            ))?,
        }
    }
    Ok(())
}

fn place(server: &ServerConfig) -> String {
    match &server.transport {
        Transport::Child(start) => format!("{} {}", start.command, start.args.join(" "))
            .trim_end()
            .to_owned(),
        Transport::Http(address) => address.url.clone(),
    }
}

pub(super) fn remove(global: &Global, name: &str) -> Result<(), Failure> {
    let servers = servers(global)?;
    let mut file = servers.file()?;
    let all = file.servers(&|name| Some(format!("${{{name}}}")));
    let id = all
        .iter()
        .flatten()
        .find(|server| server.name == name)
        .map(|server| server.id.clone());
    if !file.remove(name).map_err(openhuman::CoreError::from)? {
        return Err(unknown(name));
    }
    if let Some(id) = id {
        servers.pins()?.remove(&id).map_err(openhuman::CoreError::from)?;
    }
    if global.json {
        return output::json(&json!({"removed": name}));
    }
    line(format_args!("removed {}", clean_line(name)))
}

fn unknown(name: &str) -> Failure {
    let text = format!("there is no MCP server '{name}'; see openhuman mcp list");
    Failure::new(Code::NotFound, text)
}

pub(super) async fn test(global: &Global, name: &str, accept: bool) -> Result<(), Failure> {
    let servers = servers(global)?;
    let found = servers.file()?.servers(&|name| std::env::var(name).ok());
    let mut problem = None;
    let mut config = None;
    for server in found {
        match server {
            Ok(server) if server.name == name => config = Some(server),
            Err(error) if error.to_string().contains(&format!("'{name}'")) => problem = Some(error),
            _ => {}
        }
    }
    let Some(config) = config else {
        return Err(match problem {
            Some(problem) => openhuman::CoreError::from(problem).into(),
            None => unknown(name),
        });
    };
    let server = servers.start(config)?;
    let state = tokio::time::timeout(PATIENCE, server.settled())
        .await
        .map_err(|_| Failure::new(Code::Timeout, format!("'{name}' did not start")))?;
    let (about, protocol) = match state {
        ServerState::Connected { server, protocol } => (server, protocol),
        ServerState::Failed { reason } => {
            return Err(Failure::new(
                Code::Unavailable,
                format!("'{name}' is not there: {reason}"),
            ));
        }
        _ => return Err(Failure::new(Code::Failed, format!("'{name}' was closed"))),
    };
    let review = server.review();
    if accept {
        server.accept().map_err(openhuman::CoreError::from)?;
    }
    let tools = server.listed();
    server.close().await;
    if global.json {
        let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
        return output::json(&json!({
            "server": about, "protocol": protocol, "tools": names, "changed": review.changed, "new": review.new,
            "gone": review.gone, "accepted": accept || review.is_empty(),
        }));
    }
    line(format_args!(
        "{GOOD}{}{GOOD:#} speaks MCP {} and has {} tools",
        clean_line(&about),
        clean_line(&protocol),
        tools.len()
    ))?;
    for tool in &tools {
        let mark = match (
            review.changed.contains(&tool.name),
            review.new.contains(&tool.name),
        ) {
            (true, _) => "changed",
            (_, true) => "new",
            _ => "",
        };
        line(format_args!(
            "  {BOLD}{}{BOLD:#} {WARNING}{mark}{WARNING:#} {DIM}{}{DIM:#}",
            clean_line(&tool.name),
            clean_line(&output::fitting(&tool.description, tool.name.len() + 12))
        ))?;
    }
    if review.is_empty() {
        return Ok(());
    }
    if accept {
        line("accepted: these tools can be called as they are now")
    } else {
        line(format_args!(
            "what is new or changed is withheld until you accept it: openhuman mcp test {} --accept",
            quoted(name)
        ))
    }
}
