//! The typed table: what the methods that the desktop uses take and answer, and the TypeScript that is made of it.

use std::fmt::Write as _;

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

use super::{chat, consent, egress, link, memory, overview, packages, plan, skills, vault};

/// Makes the schema of one type.
type Make = fn(&mut SchemaGenerator) -> Schema;

/// What one method takes and answers.
struct Signature {
    /// The name without `openhuman.`.
    method: &'static str,
    params: Option<Make>,
    /// `None` where the answer is what a skill says, or the state of the core.
    answer: Option<Make>,
}

fn of<T: JsonSchema>() -> Make {
    SchemaGenerator::subschema_for::<T>
}

fn takes<P: JsonSchema>(method: &'static str) -> Signature {
    Signature {
        method,
        params: Some(of::<P>()),
        answer: None,
    }
}

fn maps<P: JsonSchema, A: JsonSchema>(method: &'static str) -> Signature {
    Signature {
        answer: Some(of::<A>()),
        ..takes::<P>(method)
    }
}

fn gives<A: JsonSchema>(method: &'static str) -> Signature {
    Signature {
        method,
        params: None,
        answer: Some(of::<A>()),
    }
}

fn table() -> Vec<Signature> {
    vec![
        takes::<vault::CreateParams>("vault_create"),
        takes::<vault::PasswordParams>("vault_unlock"),
        takes::<vault::RecoverParams>("vault_recover"),
        maps::<vault::ChangeParams, vault::Done>("vault_change_password"),
        maps::<vault::PasswordParams, vault::NewRecoveryKey>("vault_create_recovery_key"),
        gives::<vault::VaultStatus>("vault_status"),
        maps::<vault::AcceptParams, vault::Done>("vault_accept"),
        maps::<vault::DatabaseParams, vault::Done>("vault_discard_log"),
        takes::<link::ConnectParams>("socket_connect"),
        gives::<link::SocketFigures>("socket_report"),
        gives::<link::KeptSessions>("auth_sessions"),
        maps::<link::BackendParams, link::LoggedOut>("auth_logout"),
        maps::<link::BackendParams, link::LoginStarted>("auth_login_start"),
        gives::<link::LoginCancelled>("auth_login_cancel"),
        takes::<link::FinishParams>("auth_login_finish"),
        maps::<link::OAuthParams, link::OAuthStarted>("auth_oauth_connect"),
        takes::<link::OAuthLinkParams>("auth_oauth_finish"),
        gives::<overview::SkillsOverview>("skills_overview"),
        takes::<skills::SwitchParams>("skills_switch"),
        takes::<skills::SkillParams>("skills_lift_quarantine"),
        takes::<skills::MethodParams>("skills_rpc"),
        takes::<skills::SkillParams>("skills_disconnect"),
        maps::<consent::SkillParams, consent::PermissionsView>("skills_permissions"),
        maps::<consent::AllowParams, consent::PermissionsView>("skills_allow"),
        maps::<consent::SkillParams, consent::PermissionsView>("skills_revoke"),
        maps::<consent::HostParams, consent::PermissionsView>("skills_allow_host"),
        maps::<consent::HostParams, consent::PermissionsView>("skills_forget_host"),
        maps::<egress::EgressParams, egress::EgressView>("skills_egress"),
        takes::<packages::SearchParams>("skills_search"),
        maps::<plan::PlanParams, plan::PlanView>("skills_plan"),
        maps::<plan::InstallParams, plan::Installed>("skills_install"),
        maps::<packages::UninstallParams, packages::Uninstalled>("skills_uninstall"),
        maps::<memory::AddParams, memory::Added>("memory_add"),
        maps::<chat::CancelParams, chat::Cancelled>("chat_cancel"),
    ]
}

/// The TypeScript module for a front end: a type for each answer and a function for each typed method.
#[must_use]
pub fn typescript() -> String {
    let inline = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut params = inline.for_deserialize().into_generator();
    let mut answers = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut functions = String::new();
    for signature in table() {
        let params = signature
            .params
            .map(|make| type_of(make(&mut params).as_value(), 0));
        let answer = signature.answer.map_or_else(
            || "unknown".to_owned(),
            |make| type_of(make(&mut answers).as_value(), 0),
        );
        functions.push_str(&function(signature.method, params.as_deref(), &answer));
    }
    let mut text = String::from(
        "// Made from the typed table of crates/openhuman/src/rpc by its test `the_client_of_the_desktop_is_up_to_date`.\n\
         // Do not edit: `OPENHUMAN_WRITE_TYPESCRIPT=1 cargo test -p openhuman --test it schema` writes it again.\n\n\
         import type { Transport } from '../transport/types';\n",
    );
    for (name, schema) in answers.take_definitions(true) {
        text.push_str(&declaration(&name, &schema));
    }
    text.push_str(&functions);
    text
}

fn function(method: &str, params: Option<&str>, answer: &str) -> String {
    let mut name = String::new();
    for (index, word) in method.split('_').enumerate() {
        let (first, rest) = word.split_at(1);
        name.push_str(if index == 0 { word } else { "" });
        if index > 0 {
            name.push_str(&first.to_ascii_uppercase());
            name.push_str(rest);
        }
    }
    let (taken, given) = match params {
        Some(params) => (format!("transport: Transport, params: {params}"), ", params"),
        None => ("transport: Transport".to_owned(), ""),
    };
    format!(
        "\nexport function {name}({taken}): Promise<{answer}> {{\n  return transport.call('openhuman.{method}'{given});\n}}\n"
    )
}

fn declaration(name: &str, schema: &Value) -> String {
    let is_object = schema.get("properties").is_some() && schema.get("oneOf").is_none();
    let body = type_of(schema, 0);
    let comment = comment(schema, "");
    match is_object {
        true => format!("\n{comment}export interface {name} {body}\n"),
        false => format!("\n{comment}export type {name} = {body};\n"),
    }
}

fn comment(schema: &Value, indent: &str) -> String {
    let text = schema.get("description").and_then(Value::as_str);
    text.map_or_else(String::new, |text| {
        format!("{indent}/** {} */\n", text.replace('\n', " "))
    })
}

/// The TypeScript type of a JSON Schema, as far as our own types need.
fn type_of(schema: &Value, depth: usize) -> String {
    let Some(fields) = schema.as_object() else {
        return "unknown".to_owned();
    };
    if let Some(name) = fields.get("$ref").and_then(Value::as_str) {
        return name.rsplit('/').next().unwrap_or(name).to_owned();
    }
    if let Some(value) = fields.get("const") {
        return literal(value);
    }
    if let Some(values) = fields.get("enum").and_then(Value::as_array) {
        return union(values.iter().map(literal));
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        if let Some(of) = fields.get(key).and_then(Value::as_array) {
            return union(of.iter().map(|schema| type_of(schema, depth)));
        }
    }
    match fields.get("type") {
        Some(Value::Array(types)) => union(types.iter().map(|name| named(name.as_str(), fields, depth))),
        Some(name) => named(name.as_str(), fields, depth),
        None => "unknown".to_owned(),
    }
}

fn named(name: Option<&str>, fields: &Map<String, Value>, depth: usize) -> String {
    match name {
        Some("string") => "string".to_owned(),
        Some("number" | "integer") => "number".to_owned(),
        Some("boolean") => "boolean".to_owned(),
        Some("null") => "null".to_owned(),
        Some("array") => {
            let item = fields
                .get("items")
                .map_or_else(|| "unknown".to_owned(), |items| type_of(items, depth));
            match item.contains('|') {
                true => format!("({item})[]"),
                false => format!("{item}[]"),
            }
        }
        Some("object") => object(fields, depth),
        _ => "unknown".to_owned(),
    }
}

fn object(fields: &Map<String, Value>, depth: usize) -> String {
    let Some(properties) = fields.get("properties").and_then(Value::as_object) else {
        return "Record<string, unknown>".to_owned();
    };
    let required = fields.get("required").and_then(Value::as_array);
    let is_required =
        |name: &str| required.is_some_and(|names| names.iter().any(|known| known.as_str() == Some(name)));
    let indent = "  ".repeat(depth + 1);
    let mut text = String::from("{\n");
    for (name, schema) in properties {
        text.push_str(&comment(schema, &indent));
        let mark = if is_required(name) { "" } else { "?" };
        // Writing to a string does not fail.
        let _ = writeln!(text, "{indent}{name}{mark}: {};", type_of(schema, depth + 1));
    }
    text.push_str(&"  ".repeat(depth));
    text.push('}');
    text
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => format!("'{text}'"),
        other => other.to_string(),
    }
}

fn union(types: impl Iterator<Item = String>) -> String {
    let mut all: Vec<String> = Vec::new();
    for one in types {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all.join(" | ")
}
