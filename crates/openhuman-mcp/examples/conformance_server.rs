//! What the official conformance suite expects of a server under test, as providers of a hub behind our HTTP server:
//!
//! ```text
//! cargo run -p openhuman-mcp --features http --example conformance_server
//! conformance server --url http://127.0.0.1:PORT/mcp --suite all --spec-version 2025-11-25
//! ```
//!
//! The suite sends no token, so one is added to each request here. What it expects that the hub does not offer to
//! tools (logging, sampling, roots, tasks) is not here either: those scenarios fail.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use futures_util::future::BoxFuture;
use openhuman_mcp::http::{self, HttpOptions, PATH};
use openhuman_mcp::{
    Annotations, Answer, CallContext, CallError, CancellationToken, Content, Hub, HubOptions, ProgressReport,
    Prompt, PromptArgument, PromptMessage, PromptProvider, Question, Resource, ResourceBody, ResourcePage,
    ResourceProvider, ResourceTemplate, ServerInfo, Speaker, ToolDefinition, ToolProvider, ToolResult,
    Toolset,
};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

const TOKEN: &str = "conformance-conformance-conformance";
const PIXEL: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
const SILENCE: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAAAAA==";

struct Fixture(watch::Sender<u64>);

fn block(value: Value) -> Content {
    Content::Other(value)
}

fn embedded(uri: &str, mime_type: &str, text: &str) -> Content {
    block(json!({"type": "resource", "resource": {"uri": uri, "mimeType": mime_type, "text": text}}))
}

fn one(name: &str, kind: &str) -> Value {
    json!({"type": "object", "properties": {name: {"type": kind}}, "required": [name]})
}

fn defaults() -> Value {
    json!({"type": "object", "required": [], "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    }})
}

fn choices() -> Value {
    let titled = json!([{"const": "value1", "title": "First Option"}, {"const": "value2", "title": "Second Option"},
        {"const": "value3", "title": "Third Option"}]);
    json!({"type": "object", "required": [], "properties": {
        "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": ["option1", "option2", "option3"]}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }})
}

async fn ask(ctx: &CallContext, key: &str, message: &str, schema: &Value) -> Result<Value, CallError> {
    match ctx.ask(Question { key, message, schema }).await? {
        Answer::Given(content) => Ok(content),
        other => Ok(json!(format!("{other:?}"))),
    }
}

fn schema_2020_12() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {"$anchor": "addressDef", "type": "object", "properties": {
            "street": {"type": "string"}, "city": {"type": "string"}}}},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}

impl ToolProvider for Fixture {
    fn toolsets(&self) -> Vec<Toolset> {
        let plain = [
            ("test_simple_text", "Answers with a text"),
            ("test_image_content", "Answers with an image"),
            ("test_audio_content", "Answers with a sound"),
            ("test_embedded_resource", "Answers with a resource"),
            ("test_multiple_content_types", "Answers with several kinds"),
            ("test_tool_with_progress", "Says how far it is"),
            ("test_error_handling", "Always fails"),
        ];
        let mut tools: Vec<ToolDefinition> = plain
            .into_iter()
            .map(|(name, description)| ToolDefinition::new(name, description, json!({"type": "object"})))
            .collect();
        tools.push(ToolDefinition::new(
            "json_schema_2020_12_tool",
            "Has a schema with everything",
            schema_2020_12(),
        ));
        tools.push(ToolDefinition::new(
            "test_custom_headers",
            "Has an argument that travels in a header",
            json!({"type": "object", "properties": {"region": {"type": "string", "x-mcp-header": "Region"}}}),
        ));
        for (name, description) in [
            ("test_elicitation", "Asks for a name and an address"),
            ("test_elicitation_sep1034_defaults", "Asks with defaults"),
            ("test_elicitation_sep1330_enums", "Asks with choices"),
            ("test_input_required_result_elicitation", "Asks for a name"),
            (
                "test_input_required_result_request_state",
                "Asks for a confirmation",
            ),
            (
                "test_input_required_result_tampered_state",
                "Asks for a confirmation",
            ),
            ("test_input_required_result_multi_round", "Asks twice"),
        ] {
            tools.push(ToolDefinition::new(name, description, json!({"type": "object"})));
        }
        let tools = tools
            .into_iter()
            .map(|tool| tool.with_annotations(Annotations::read_only()));
        vec![Toolset {
            id: "fixture".into(),
            name: "Fixture".into(),
            status: "connected".into(),
            running: true,
            tools: tools.collect(),
        }]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn call<'a>(
        &'a self,
        _toolset: &'a str,
        tool: &'a str,
        args: Value,
        ctx: CallContext,
    ) -> BoxFuture<'a, Result<ToolResult, CallError>> {
        Box::pin(async move {
            let image = || block(json!({"type": "image", "data": PIXEL, "mimeType": "image/png"}));
            let content = match tool {
                "test_simple_text" => vec![Content::text("This is a simple text response for testing.")],
                "test_image_content" => vec![image()],
                "test_audio_content" => {
                    vec![block(
                        json!({"type": "audio", "data": SILENCE, "mimeType": "audio/wav"}),
                    )]
                }
                "test_embedded_resource" => {
                    let text = "This is an embedded resource content.";
                    vec![embedded("test://embedded-resource", "text/plain", text)]
                }
                "test_multiple_content_types" => vec![
                    Content::text("Multiple content types test:"),
                    image(),
                    embedded(
                        "test://mixed-content-resource",
                        "application/json",
                        r#"{"test":"data","value":123}"#,
                    ),
                ],
                "test_tool_with_progress" => {
                    for progress in [0.0, 50.0, 100.0] {
                        ctx.progress.report(ProgressReport {
                            progress,
                            total: Some(100.0),
                            message: None,
                        });
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                    vec![Content::text("done")]
                }
                "test_elicitation" => {
                    let message = args["message"].as_str().unwrap_or_default();
                    let text = |description: &str| json!({"type": "string", "description": description});
                    let schema = json!({"type": "object", "required": ["username", "email"], "properties": {
                        "username": text("User's response"), "email": text("User's email address")}});
                    let answer = ask(&ctx, "user", message, &schema).await?;
                    vec![Content::text(format!("User response: {answer}"))]
                }
                "test_elicitation_sep1034_defaults" => {
                    let answer = ask(&ctx, "defaults", "Please check", &defaults()).await?;
                    vec![Content::text(format!("Elicitation completed: {answer}"))]
                }
                "test_elicitation_sep1330_enums" => {
                    let answer = ask(&ctx, "choices", "Please choose", &choices()).await?;
                    vec![Content::text(format!("Elicitation completed: {answer}"))]
                }
                "test_input_required_result_elicitation" => {
                    let schema = one("name", "string");
                    let answer = ask(&ctx, "user_name", "What is your name?", &schema).await?;
                    let name = answer["name"].as_str().unwrap_or("nobody");
                    vec![Content::text(format!("Hello, {name}!"))]
                }
                "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
                    ask(&ctx, "confirm", "Please confirm", &one("ok", "boolean")).await?;
                    vec![Content::text("state-ok")]
                }
                "test_input_required_result_multi_round" => {
                    let name = ask(
                        &ctx,
                        "step1",
                        "Step 1: What is your name?",
                        &one("name", "string"),
                    )
                    .await?;
                    let schema = one("color", "string");
                    let color = ask(&ctx, "step2", "Step 2: What is your favorite color?", &schema).await?;
                    vec![Content::text(format!("{name} {color}"))]
                }
                "test_error_handling" => {
                    return Err(CallError::Message(
                        "This tool intentionally returns an error for testing".into(),
                    ));
                }
                _ => vec![Content::text("ok")],
            };
            Ok(ToolResult {
                content,
                is_error: false,
            })
        })
    }
}

impl ResourceProvider for Fixture {
    fn list<'a>(
        &'a self,
        _after: Option<&'a str>,
        _limit: usize,
    ) -> BoxFuture<'a, Result<ResourcePage, CallError>> {
        let resource = |name: &str, mime_type: &str| Resource {
            uri: format!("test://{name}"),
            name: name.into(),
            description: Some("For the conformance suite".into()),
            mime_type: Some(mime_type.into()),
            ..Resource::default()
        };
        let resources = vec![
            resource("static-text", "text/plain"),
            resource("static-binary", "image/png"),
        ];
        Box::pin(std::future::ready(Ok(ResourcePage {
            resources,
            next: None,
        })))
    }

    fn templates(&self) -> Vec<ResourceTemplate> {
        vec![ResourceTemplate {
            uri_template: "test://template/{id}/data".into(),
            name: "data".into(),
            mime_type: Some("application/json".into()),
            ..ResourceTemplate::default()
        }]
    }

    fn read<'a>(&'a self, uri: &'a str) -> BoxFuture<'a, Result<Option<Vec<ResourceBody>>, CallError>> {
        let text = |mime_type: &str, text: String| ResourceBody::Text {
            uri: uri.to_owned(),
            mime_type: Some(mime_type.to_owned()),
            text,
        };
        let id = uri
            .strip_prefix("test://template/")
            .and_then(|rest| rest.strip_suffix("/data"));
        let body = match (uri, id) {
            ("test://static-text", _) => Some(text(
                "text/plain",
                "This is the content of the static text resource.".into(),
            )),
            ("test://static-binary", _) => Some(ResourceBody::Bytes {
                uri: uri.to_owned(),
                mime_type: Some("image/png".into()),
                base64: PIXEL.into(),
            }),
            (_, Some(id)) => {
                let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
                Some(text("application/json", data.to_string()))
            }
            _ => None,
        };
        Box::pin(std::future::ready(Ok(body.map(|body| vec![body]))))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

impl PromptProvider for Fixture {
    fn prompts(&self) -> Vec<Prompt> {
        let prompt = |name: &str, arguments: &[&str]| Prompt {
            name: name.into(),
            description: Some("For the conformance suite".into()),
            arguments: arguments
                .iter()
                .map(|argument| PromptArgument {
                    name: (*argument).into(),
                    description: Some("An argument".into()),
                    required: true,
                })
                .collect(),
            ..Prompt::default()
        };
        vec![
            prompt("test_simple_prompt", &[]),
            prompt("test_prompt_with_arguments", &["arg1", "arg2"]),
            prompt("test_prompt_with_embedded_resource", &["resourceUri"]),
            prompt("test_prompt_with_image", &[]),
        ]
    }

    fn get<'a>(
        &'a self,
        name: &'a str,
        arguments: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Vec<PromptMessage>, CallError>> {
        let given = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
        let contents = match name {
            "test_prompt_with_arguments" => vec![Content::text(format!(
                "Prompt with arguments: arg1='{}', arg2='{}'",
                given("arg1"),
                given("arg2")
            ))],
            "test_prompt_with_embedded_resource" => vec![
                embedded(
                    given("resourceUri"),
                    "text/plain",
                    "Embedded resource content for testing.",
                ),
                Content::text("Please process the embedded resource above."),
            ],
            "test_prompt_with_image" => vec![
                block(json!({"type": "image", "data": PIXEL, "mimeType": "image/png"})),
                Content::text("Please analyze the image above."),
            ],
            _ => vec![Content::text("This is a simple prompt for testing.")],
        };
        let messages = contents.into_iter().map(|content| PromptMessage {
            speaker: Speaker::User,
            content,
        });
        Box::pin(std::future::ready(Ok(messages.collect())))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }
}

async fn with_token(mut request: Request, next: Next) -> axum::response::Response {
    let value = HeaderValue::from_str(&format!("Bearer {TOKEN}"));
    if let Ok(value) = value {
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    next.run(request).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hub = Hub::new(HubOptions::default());
    let fixture = Arc::new(Fixture(watch::Sender::new(0)));
    hub.add_provider(fixture.clone());
    hub.add_resources(fixture.clone());
    hub.add_prompts(fixture);
    let mut options = HttpOptions::new(TOKEN);
    options.origins = vec!["http://localhost:*".into(), "http://127.0.0.1:*".into()];
    let listener = http::bind(([127, 0, 0, 1], 0).into(), &options).await?;
    println!("http://{}{PATH}", listener.local_addr()?);
    let info = ServerInfo {
        name: "openhuman-conformance".into(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let router = http::router(hub.only("fixture"), info, options, CancellationToken::new())?;
    let router = router.layer(axum::middleware::from_fn(with_token));
    Ok(axum::serve(listener, router).await?)
}
