//! A provider for the tests of this crate: echo, hang, fail, panic.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::tool::{Annotations, ToolDefinition, ToolProvider, ToolResult, Toolset};
use crate::{CallContext, CallError};
use crate::{Hub, HubOptions};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Behaviour {
    Normal,
    Stopped,
    PanicOnList,
}

pub(crate) struct Bench {
    state: Mutex<(Behaviour, Vec<String>)>,
    changes: watch::Sender<u64>,
    token: Mutex<CancellationToken>,
    started: Notify,
}

impl Bench {
    pub(crate) fn hub(options: HubOptions) -> (Hub, Arc<Self>) {
        let bench = Arc::new(Self {
            state: Mutex::new((
                Behaviour::Normal,
                ["echo", "fail", "hang", "json", "panic", "panic-early"]
                    .map(String::from)
                    .to_vec(),
            )),
            changes: watch::Sender::new(0),
            token: Mutex::default(),
            started: Notify::new(),
        });
        let hub = Hub::new(options);
        hub.add_provider(Arc::clone(&bench) as Arc<dyn ToolProvider>);
        (hub, bench)
    }

    pub(crate) fn add_tool(&self, name: &str) {
        self.state.lock().unwrap().1.push(name.into());
        self.touch();
    }

    pub(crate) fn set(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().0 = behaviour;
        self.touch();
    }

    pub(crate) fn touch(&self) {
        self.changes.send_modify(|value| *value += 1);
    }

    pub(crate) fn last_token(&self) -> CancellationToken {
        self.token.lock().unwrap().clone()
    }

    pub(crate) async fn started(&self) {
        self.started.notified().await;
    }

    /// Until nobody follows the changes any more.
    pub(crate) async fn closed(&self) {
        self.changes.closed().await;
    }
}

impl ToolProvider for Bench {
    fn toolsets(&self) -> Vec<Toolset> {
        let (behaviour, tools) = self.state.lock().unwrap().clone();
        assert!(behaviour != Behaviour::PanicOnList, "asked to panic");
        let running = behaviour == Behaviour::Normal;
        vec![Toolset {
            id: "bench".into(),
            name: "Bench".into(),
            status: if running { "connected" } else { "offline" }.into(),
            running,
            tools: tools
                .iter()
                .map(|name| {
                    let tool =
                        ToolDefinition::new(name.clone(), format!("does {name}"), json!({"type": "object"}));
                    if name == "echo" {
                        tool.with_annotations(Annotations::read_only())
                    } else {
                        tool
                    }
                })
                .collect(),
        }]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn call<'a>(
        &'a self,
        _toolset: &'a str,
        tool: &'a str,
        args: Value,
        ctx: CallContext,
    ) -> BoxFuture<'a, Result<ToolResult, CallError>> {
        assert!(tool != "panic-early", "asked to panic");
        Box::pin(async move {
            *self.token.lock().unwrap() = ctx.cancel;
            self.started.notify_one();
            match tool {
                "fail" => Err(CallError::Failed("no luck".into())),
                "hang" => std::future::pending().await,
                "json" => Ok(ToolResult::json(json!({"given": args}))),
                "panic" => panic!("asked to panic"),
                _ => Ok(ToolResult::text(args.to_string())),
            }
        })
    }
}
