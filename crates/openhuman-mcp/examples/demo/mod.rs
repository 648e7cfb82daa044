//! The tools of the example servers.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use openhuman_mcp::{
    Annotations, CallContext, CallError, Hub, ProgressReport, Prompt, PromptArgument, PromptMessage,
    PromptProvider, Resource, ResourceBody, ResourcePage, ResourceProvider, ResourceTemplate, Speaker,
    ToolDefinition, ToolProvider, ToolResult, Toolset,
};
use serde_json::{Map, Value, json};
use tokio::sync::watch;

/// `demo__echo` repeats its text; `demo__grow` adds another tool, so that the list changes. With `DEMO_MORE` there are
/// tools that crash, hang, work for long and answer with a structure, a document and a prompt.
struct Demo {
    grown: watch::Sender<u64>,
    more: bool,
}

/// Adds the tools to a hub.
pub(crate) fn add(hub: &Hub) {
    let demo = Arc::new(Demo {
        grown: watch::Sender::new(0),
        more: std::env::var_os("DEMO_MORE").is_some(),
    });
    hub.add_provider(demo.clone());
    if demo.more {
        hub.add_resources(demo.clone());
        hub.add_prompts(demo);
    }
}

impl ToolProvider for Demo {
    fn toolsets(&self) -> Vec<Toolset> {
        let schema = json!({
            "type": "object",
            "properties": {"text": {"type": "string", "description": "What to repeat"}},
            "required": ["text"],
        });
        let description = std::env::var("DEMO_DESCRIPTION").unwrap_or_else(|_| "Repeats the text".into());
        let echo = ToolDefinition::new("echo", description, schema);
        let plain =
            |name: &str, description: &str| ToolDefinition::new(name, description, json!({"type": "object"}));
        let mut tools = vec![
            echo.with_annotations(Annotations::read_only()),
            plain("grow", "Adds one more tool to the list"),
        ];
        if self.more {
            tools.push(plain("crash", "Ends the process"));
            tools.push(plain("hang", "Never answers"));
            tools.push(plain("work", "Works for a while and says how far it is"));
            tools.push(plain("count", "Answers with a structure"));
        }
        let grown = *self.grown.borrow();
        tools.extend((1..=grown).map(|n| plain(&format!("extra-{n}"), "Does nothing")));
        vec![Toolset {
            id: "demo".into(),
            name: "Demo".into(),
            status: "connected".into(),
            running: true,
            tools,
        }]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    fn output_schema(&self, _toolset: &str, tool: &str) -> Option<Value> {
        let promised = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
        (tool == "count").then_some(promised)
    }

    fn call<'a>(
        &'a self,
        _toolset: &'a str,
        tool: &'a str,
        args: Value,
        ctx: CallContext,
    ) -> BoxFuture<'a, Result<ToolResult, CallError>> {
        Box::pin(async move {
            match tool {
                "echo" => Ok(ToolResult::text(args["text"].as_str().unwrap_or_default())),
                "grow" => {
                    self.grown.send_modify(|value| *value += 1);
                    Ok(ToolResult::json(json!({"tools": *self.grown.borrow() + 2})))
                }
                "crash" => {
                    eprintln!("asked to crash");
                    std::process::exit(70);
                }
                "hang" => std::future::pending().await,
                "work" => {
                    for step in 1..=3_u8 {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        ctx.progress.report(ProgressReport {
                            progress: step.into(),
                            total: Some(3.0),
                            message: Some(format!("step {step}")),
                        });
                    }
                    Ok(ToolResult::text("worked"))
                }
                "count" => Ok(ToolResult::json(json!({"n": 3}))),
                _ => Ok(ToolResult::text("nothing was done")),
            }
        })
    }
}

impl ResourceProvider for Demo {
    fn list<'a>(
        &'a self,
        _after: Option<&'a str>,
        _limit: usize,
    ) -> BoxFuture<'a, Result<ResourcePage, CallError>> {
        let note = Resource {
            uri: "demo://note/1".into(),
            name: "A note".into(),
            mime_type: Some("text/plain".into()),
            ..Resource::default()
        };
        Box::pin(std::future::ready(Ok(ResourcePage {
            resources: vec![note],
            next: None,
        })))
    }

    fn templates(&self) -> Vec<ResourceTemplate> {
        vec![ResourceTemplate {
            uri_template: "demo://note/{number}".into(),
            name: "Notes by number".into(),
            ..ResourceTemplate::default()
        }]
    }

    fn read<'a>(&'a self, uri: &'a str) -> BoxFuture<'a, Result<Option<Vec<ResourceBody>>, CallError>> {
        let found = uri
            .strip_prefix("demo://note/")
            .filter(|number| *number == "1")
            .map(|_| {
                vec![ResourceBody::Text {
                    uri: uri.to_owned(),
                    mime_type: Some("text/plain".into()),
                    text: "Buy milk".into(),
                }]
            });
        Box::pin(std::future::ready(Ok(found)))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }
}

impl PromptProvider for Demo {
    fn prompts(&self) -> Vec<Prompt> {
        vec![Prompt {
            name: "summary".into(),
            description: Some("Asks for a summary".into()),
            arguments: vec![PromptArgument {
                name: "topic".into(),
                required: true,
                ..PromptArgument::default()
            }],
            ..Prompt::default()
        }]
    }

    fn get<'a>(
        &'a self,
        _name: &'a str,
        arguments: &'a Map<String, Value>,
    ) -> BoxFuture<'a, Result<Vec<PromptMessage>, CallError>> {
        let topic = arguments["topic"].as_str().unwrap_or_default();
        let message = PromptMessage {
            speaker: Speaker::User,
            content: openhuman_mcp::Content::text(format!("Summarise {topic}")),
        };
        Box::pin(std::future::ready(Ok(vec![message])))
    }

    fn complete<'a>(
        &'a self,
        _name: &'a str,
        _argument: &'a str,
        typed: &'a str,
    ) -> BoxFuture<'a, Vec<String>> {
        let topics = ["gardens", "gas", "tides"]
            .into_iter()
            .filter(|topic| topic.starts_with(typed));
        let topics = topics.map(str::to_owned).collect();
        Box::pin(std::future::ready(topics))
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }
}
