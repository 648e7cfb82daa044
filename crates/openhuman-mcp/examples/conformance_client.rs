//! Our client for the official conformance suite, which starts it with the address of a server:
//!
//! ```text
//! cargo build -p openhuman-mcp --features client-http --example conformance_client
//! conformance client --command target/debug/examples/conformance_client --suite all --spec-version 2025-11-25
//! ```
//!
//! It connects as any server with an address is connected to, and calls every tool through the hub. Scenarios about
//! authorisation fail: the client has no OAuth of its own yet.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use openhuman_mcp::client::config::{HttpAddress, ServerConfig, Transport};
use openhuman_mcp::client::pin::MemoryPins;
use openhuman_mcp::client::{ClientOptions, ExternalServer, ServerState};
use openhuman_mcp::{CallContext, Hub, HubOptions, Origin, ToolProvider};
use serde_json::{Map, Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// Arguments that fit a schema, as far as its types go.
fn arguments(schema: &Value) -> Value {
    let properties = schema
        .get("properties")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let filled = properties.map(|(name, property)| {
        let value = match property.get("type").and_then(Value::as_str) {
            Some("number" | "integer") => json!(if name == "a" { 5 } else { 3 }),
            Some("boolean") => json!(true),
            Some("array") => json!([]),
            Some("object") => arguments(property),
            _ => json!("text"),
        };
        (name.clone(), value)
    });
    Value::Object(filled.collect::<Map<_, _>>())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().next_back().ok_or("an address is missing")?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "another TLS provider is there")?;
    let config = ServerConfig {
        id: "far".into(),
        name: "far".into(),
        transport: Transport::Http(HttpAddress {
            url,
            ..HttpAddress::default()
        }),
        disabled: false,
        trusted: true,
        pin_at_first_sight: true,
    };
    let options = ClientOptions {
        http: Some(reqwest::Client::new()),
        ..ClientOptions::default()
    };
    let server = ExternalServer::start(config, Arc::new(MemoryPins::default()), options);
    let state = tokio::time::timeout(PATIENCE, server.settled()).await?;
    if let ServerState::Failed { reason } = state {
        return Err(reason.into());
    }
    let hub = Hub::new(HubOptions::default());
    hub.add_provider(Arc::clone(&server) as Arc<dyn ToolProvider>);
    let catalog = hub.catalog();
    for tool in &catalog.tools {
        let mut arguments = arguments(&tool.input_schema);
        // One scenario wants to see the schema of another tool as it arrived.
        let observed = catalog
            .tools
            .iter()
            .find(|other| other.tool == "json_schema_2020_12_tool");
        if let (Some(observed), true) = (observed, arguments.get("schema").is_some()) {
            arguments["schema"] = observed.input_schema.clone();
        }
        let call = hub.call(&tool.name, arguments, CallContext::new(Origin::Cli));
        let result = tokio::time::timeout(PATIENCE, call).await?;
        eprintln!("{}: {}", tool.name, result.to_text());
    }
    server.close().await;
    Ok(())
}
