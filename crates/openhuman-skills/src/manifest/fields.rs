//! Reads the blocks of a manifest.

use serde_json::Value;
use url::Host;

use super::json::{At, Reader};
use super::types::{
    AuthKind, AuthMode, AuthSetup, DataPermission, DbPermission, MemoryPermission, NetPermission, OAuthSetup,
    Permissions, Setup, SetupField, SetupOption, WebSocketPermission,
};
use crate::SkillId;

const NAMES: &str = "a list of names";

pub(super) fn setup(reader: &mut Reader<'_>, root: &At<'_>) -> Setup {
    let Some(block) = reader.object(root, "setup") else {
        return Setup::default();
    };
    Setup {
        required: reader.flag(&block, "required"),
        label: reader.text(&block, "label"),
        oauth: reader.object(&block, "oauth").map(|oauth| OAuthSetup {
            provider: reader.text(&oauth, "provider"),
            scopes: reader.texts(&oauth, "scopes", "a scope, as text", |_| true),
            api_base_url: reader.text(&oauth, "apiBaseUrl"),
        }),
        auth: reader
            .object(&block, "auth")
            .map(|auth| auth_setup(reader, &auth)),
    }
}

fn auth_setup(reader: &mut Reader<'_>, auth: &At<'_>) -> AuthSetup {
    let modes = reader.items(auth, "modes");
    if modes.is_empty() {
        let place = auth.get("modes").unwrap_or_else(|| auth.clone());
        reader.report(&place, "lists no way to connect; list at least one in `modes`");
    }
    let mut read = Vec::new();
    for mode in modes {
        if !mode.is_object() {
            reader.wrong(&mode, "an object with a `type`");
            continue;
        }
        let kind = match mode
            .get("type")
            .as_ref()
            .and_then(At::scalar)
            .and_then(Value::as_str)
        {
            Some("managed") => AuthKind::Managed,
            Some("self_hosted") => AuthKind::SelfHosted,
            Some("text") => AuthKind::Text,
            _ => {
                match mode.get("type") {
                    Some(kind) => reader.wrong(&kind, "`managed`, `self_hosted` or `text`"),
                    None => reader.report(&mode, "has no `type`; it is `managed`, `self_hosted` or `text`"),
                }
                continue;
            }
        };
        read.push(AuthMode {
            kind,
            label: reader.text(&mode, "label"),
            description: reader.text(&mode, "description"),
            provider: reader.text(&mode, "provider"),
            scopes: reader.texts(&mode, "scopes", "a scope, as text", |_| true),
            api_base_url: reader.text(&mode, "apiBaseUrl"),
            fields: reader
                .items(&mode, "fields")
                .iter()
                .filter_map(|field| setup_field(reader, field))
                .collect(),
            text_description: reader.text(&mode, "textDescription"),
            text_placeholder: reader.text(&mode, "textPlaceholder"),
        });
    }
    AuthSetup { modes: read }
}

fn setup_field(reader: &mut Reader<'_>, at: &At<'_>) -> Option<SetupField> {
    let Some(name) = reader.text(at, "name").filter(|name| !name.is_empty()) else {
        reader.report(
            at,
            "has no `name`; the name is the key under which the skill gets the value",
        );
        return None;
    };
    Some(SetupField {
        kind: reader.text(at, "type").unwrap_or_else(|| "text".to_owned()),
        label: reader.text(at, "label").unwrap_or_else(|| name.clone()),
        description: reader.text(at, "description"),
        required: reader.flag(at, "required"),
        default: at.get("default").map(|default| default.value()),
        placeholder: reader.text(at, "placeholder"),
        options: reader
            .items(at, "options")
            .iter()
            .filter_map(|option| setup_option(reader, option))
            .collect(),
        name,
    })
}

/// `{label, value}`, or a bare value that is its own label.
fn setup_option(reader: &mut Reader<'_>, at: &At<'_>) -> Option<SetupOption> {
    let text_of = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if let Some(value) = at.scalar().filter(|value| !value.is_null()) {
        return Some(SetupOption {
            label: text_of(value),
            value: value.clone(),
        });
    }
    let value = at.get("value").map(|value| value.value());
    let label = reader.text(at, "label");
    match (label, value) {
        (None, None) => {
            reader.wrong(at, "an object with `label` and `value`");
            None
        }
        (label, value) => {
            let value = value.unwrap_or_else(|| Value::String(label.clone().unwrap_or_default()));
            Some(SetupOption {
                label: label.unwrap_or_else(|| text_of(&value)),
                value,
            })
        }
    }
}

pub(super) fn permissions(reader: &mut Reader<'_>, root: &At<'_>) -> Option<Permissions> {
    let block = reader.object(root, "permissions")?;
    Some(Permissions {
        net: net(reader, &block),
        websocket: websocket(reader, &block),
        env: reader.texts(&block, "env", "the name of an environment value", is_env_name),
        tools: tools(reader, &block),
        events: reader.texts(&block, "events", "the name of an event, or `*`", is_name),
        notify: reader.flag(&block, "notify"),
        model: reader.flag(&block, "model"),
        webhooks: reader.flag(&block, "webhooks"),
        memory: memory(reader, &block),
        db: DbPermission {
            max_mb: reader
                .object(&block, "db")
                .and_then(|db| reader.number(&db, "max_mb", 1)),
        },
        data: DataPermission {
            max_mb: reader
                .object(&block, "data")
                .and_then(|data| reader.number(&data, "max_mb", 1)),
        },
    })
}

fn net(reader: &mut Reader<'_>, block: &At<'_>) -> Vec<NetPermission> {
    let mut wishes = Vec::new();
    for item in reader.items(block, "net") {
        let Some(host) = host(reader, &item) else { continue };
        wishes.push(NetPermission {
            host,
            methods: reader.texts(&item, "methods", "an HTTP method such as `GET`", is_method),
            ports: ports(reader, &item),
            http: reader.flag(&item, "http"),
            secret: reader.text(&item, "secret").filter(|secret| !secret.is_empty()),
        });
    }
    wishes
}

fn websocket(reader: &mut Reader<'_>, block: &At<'_>) -> Vec<WebSocketPermission> {
    let mut wishes = Vec::new();
    for item in reader.items(block, "websocket") {
        let Some(host) = host(reader, &item) else { continue };
        wishes.push(WebSocketPermission {
            host,
            ports: ports(reader, &item),
        });
    }
    wishes
}

fn host(reader: &mut Reader<'_>, item: &At<'_>) -> Option<String> {
    if !item.is_object() {
        reader.wrong(item, "an object such as {\"host\": \"api.example.com\"}");
        return None;
    }
    let Some(place) = item.get("host") else {
        reader.report(item, "has no `host`, for example \"api.example.com\"");
        return None;
    };
    let host = reader.as_text(&place)?;
    if is_host_pattern(&host) {
        return Some(host);
    }
    reader.wrong(
        &place,
        "a host name alone, without scheme, port or path: `api.example.com`, `*.example.com` or an address",
    );
    None
}

/// Whether the text is `*`, a host name, an IP address, or `*.` before a host name.
fn is_host_pattern(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let bare = name.trim_matches(['[', ']']);
    text == "*"
        || bare.parse::<std::net::IpAddr>().is_ok()
        || (!name.contains(['*', '/', ':', '@', '%', ' ']) && Host::parse(name).is_ok())
}

fn ports(reader: &mut Reader<'_>, at: &At<'_>) -> Vec<u16> {
    let mut ports = Vec::new();
    for item in reader.items(at, "ports") {
        let number = item.scalar().and_then(Value::as_u64);
        match number.and_then(|number| u16::try_from(number).ok()) {
            Some(port) if port > 0 => ports.push(port),
            _ => reader.wrong(&item, "a port, 1 to 65535"),
        }
    }
    ports
}

/// `"skill.tool"`, or the longer form `{"call": "skill.tool"}`.
fn tools(reader: &mut Reader<'_>, block: &At<'_>) -> Vec<String> {
    let mut tools = Vec::new();
    for item in reader.items(block, "tools") {
        let named = item.get("call").unwrap_or_else(|| item.clone());
        match named.scalar().and_then(Value::as_str) {
            Some(tool) if is_tool(tool) => tools.push(tool.to_owned()),
            _ => reader.wrong(
                &named,
                "a skill and its tool, such as `price-feed.latest` or `price-feed.*`",
            ),
        }
    }
    tools
}

fn is_tool(text: &str) -> bool {
    text.split_once('.')
        .is_some_and(|(skill, tool)| SkillId::new(skill).is_ok() && !tool.is_empty() && tool.len() <= 128)
}

/// An object of flags, or one of their names, or a list of their names.
fn memory(reader: &mut Reader<'_>, block: &At<'_>) -> MemoryPermission {
    let mut wish = MemoryPermission::default();
    let Some(at) = block.get("memory") else {
        return wish;
    };
    if at.is_object() {
        wish.insert = reader.flag(&at, "insert");
        wish.recall = reader.flag(&at, "recall");
        return wish;
    }
    for item in at.items().unwrap_or_else(|| vec![at.clone()]) {
        match item.scalar().and_then(Value::as_str) {
            Some("insert") => wish.insert = true,
            Some("recall") => wish.recall = true,
            _ => reader.wrong(&item, "an object such as {\"insert\": true, \"recall\": true}"),
        }
    }
    wish
}

/// Names from lists of texts or of objects with a `name`; anything else is left out.
pub(super) fn names(reader: &mut Reader<'_>, root: &At<'_>, key: &str) -> Vec<String> {
    let Some(at) = root.get(key) else {
        return Vec::new();
    };
    let Some(items) = at.items() else {
        reader.wrong(&at, NAMES);
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| {
            let named = item.get("name");
            let text = named.as_ref().unwrap_or(item).scalar()?.as_str()?;
            Some(text.to_owned())
        })
        .collect()
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 200 && !text.chars().any(char::is_control)
}

fn is_env_name(text: &str) -> bool {
    is_name(text) && !text.contains('=')
}

fn is_method(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}
