use super::*;
use crate::context::Origin;
use crate::testing::{Behaviour, Bench};
use serde_json::json;

fn ctx() -> CallContext {
    CallContext::new(Origin::Agent)
}

#[tokio::test]
async fn an_empty_hub_says_that_the_runtime_is_missing() {
    let result = Hub::default().call("a__b", Value::Null, ctx()).await;
    assert_eq!(result, ToolResult::error("Skill runtime not available"));
}

#[tokio::test]
async fn calls_reach_the_provider_with_an_object() {
    let (hub, _bench) = Bench::hub(HubOptions::default());
    let result = hub.call("bench__echo", json!({"text": "hé"}), ctx()).await;
    assert_eq!(result, ToolResult::text("{\"text\":\"hé\"}"));
    assert_eq!(
        hub.call("bench__echo", Value::Null, ctx()).await,
        ToolResult::text("{}")
    );
    let bad = hub.call("bench__echo", json!([1]), ctx()).await;
    assert_eq!(
        bad,
        ToolResult::error("Invalid arguments for 'bench__echo': the arguments must be object, not array")
    );
}

#[tokio::test]
async fn a_change_is_seen_at_once_and_an_equal_list_is_no_change() {
    let (hub, bench) = Bench::hub(HubOptions::default());
    let mut changes = hub.changes();
    let before = hub.catalog().revision;
    changes.mark_unchanged();
    bench.add_tool("late");
    assert_eq!(
        hub.catalog().revision,
        before + 1,
        "the reader does not wait for the watching task"
    );
    assert_eq!(
        hub.call("bench__late", json!({}), ctx()).await,
        ToolResult::text("{}")
    );
    assert!(changes.has_changed().unwrap());
    changes.mark_unchanged();
    bench.touch();
    assert_eq!(hub.catalog().revision, before + 1);
    assert!(!changes.has_changed().unwrap());
}

#[tokio::test]
async fn the_watching_task_publishes_without_a_reader_and_ends_with_the_hub() {
    let (hub, bench) = Bench::hub(HubOptions::default());
    let mut changes = hub.changes();
    changes.mark_unchanged();
    bench.add_tool("late");
    changes.changed().await.unwrap();
    drop(hub);
    assert!(
        changes.changed().await.is_err(),
        "the hub is gone, so is its sender"
    );
    bench.closed().await;
}

#[tokio::test(start_paused = true)]
async fn the_deadline_answers_and_cancels_the_handler() {
    let (hub, bench) = Bench::hub(HubOptions::default());
    let started = tokio::time::Instant::now();
    let result = hub.call("bench__hang", json!({}), ctx()).await;
    assert_eq!(started.elapsed(), Duration::from_secs(30));
    assert!(result.is_error);
    assert!(
        result.to_text().contains("did not answer within 30000 ms"),
        "{}",
        result.to_text()
    );
    assert!(bench.last_token().is_cancelled());
}

#[tokio::test]
async fn cancelling_and_dropping_both_reach_the_handler() {
    let (hub, bench) = Bench::hub(HubOptions::default());
    let ctx = ctx();
    let token = ctx.cancel.clone();
    let call = tokio::spawn({
        let hub = hub.clone();
        async move { hub.call("bench__hang", json!({}), ctx).await }
    });
    bench.started().await;
    token.cancel();
    assert_eq!(
        call.await.unwrap(),
        ToolResult::error("The call of tool 'hang' was cancelled")
    );
    assert!(bench.last_token().is_cancelled());

    let dropped = tokio::spawn({
        let hub = hub.clone();
        async move { hub.call("bench__hang", json!({}), self::ctx()).await }
    });
    bench.started().await;
    dropped.abort();
    bench.last_token().cancelled().await;
}

#[tokio::test]
async fn a_provider_that_panics_is_contained() {
    let (hub, bench) = Bench::hub(HubOptions::default());
    for tool in ["bench__panic", "bench__panic-early"] {
        let result = hub.call(tool, json!({}), ctx()).await;
        assert!(
            result.is_error && result.to_text().ends_with("crashed"),
            "{}",
            result.to_text()
        );
    }
    assert!(!hub.call("bench__echo", json!({}), ctx()).await.is_error);
    bench.set(Behaviour::PanicOnList);
    assert!(hub.catalog().tools.is_empty());
    bench.set(Behaviour::Normal);
    assert!(!hub.catalog().tools.is_empty());
}

/// A provider whose tools say more than those of the bench: schemas, progress, results that lie.
struct Careful(watch::Sender<u64>);

impl ToolProvider for Careful {
    fn toolsets(&self) -> Vec<crate::Toolset> {
        let schema = json!({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}});
        let tool = |name: &str| crate::ToolDefinition::new(name, "", schema.clone());
        vec![crate::Toolset {
            id: "careful".into(),
            name: "Careful".into(),
            status: "connected".into(),
            running: true,
            tools: vec![
                tool("honest").with_annotations(crate::Annotations::read_only()),
                tool("liar"),
                tool("silent"),
                tool("steady"),
            ],
        }]
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.0.subscribe()
    }

    fn output_schema(&self, _toolset: &str, tool: &str) -> Option<Value> {
        let promised =
            json!({"type": "object", "required": ["twice"], "properties": {"twice": {"type": "integer"}}});
        (tool != "steady").then_some(promised)
    }

    fn call<'a>(
        &'a self,
        _toolset: &'a str,
        tool: &'a str,
        args: Value,
        ctx: CallContext,
    ) -> futures_util::future::BoxFuture<'a, Result<ToolResult, CallError>> {
        Box::pin(async move {
            let n = args["n"].as_i64().expect("the hub has checked it");
            match tool {
                "honest" => Ok(ToolResult::json(json!({"twice": 2 * n}))),
                "liar" => Ok(ToolResult::json(json!({"twice": "many"}))),
                "silent" => Ok(ToolResult::text("done")),
                _ => {
                    for step in 0..n {
                        tokio::time::sleep(Duration::from_secs(20)).await;
                        ctx.progress.report(crate::ProgressReport {
                            progress: step as f64,
                            ..crate::ProgressReport::default()
                        });
                    }
                    Ok(ToolResult::text("steady"))
                }
            }
        })
    }
}

fn careful(policy: Arc<dyn Policy>) -> Hub {
    let hub = Hub::with_policy(HubOptions::default(), policy);
    hub.add_provider(Arc::new(Careful(watch::Sender::new(0))));
    hub
}

#[tokio::test]
async fn arguments_and_results_are_held_to_their_schemas() {
    let hub = careful(Arc::new(AllowAll));
    let told = async |tool: &str, args: Value| hub.call(tool, args, ctx()).await.to_text();
    assert_eq!(told("careful__honest", json!({"n": 2})).await, "{\"twice\":4}");
    assert_eq!(
        told("careful__honest", json!({})).await,
        "Invalid arguments for 'careful__honest': the argument 'n' is missing"
    );
    assert_eq!(
        told("careful__honest", json!({"n": "2"})).await,
        "Invalid arguments for 'careful__honest': the argument 'n' must be integer, not string"
    );
    assert_eq!(
        told("careful__liar", json!({"n": 2})).await,
        "Tool execution failed: 'careful__liar' broke its own output schema: \
         the value 'twice' must be integer, not string"
    );
    assert!(
        told("careful__silent", json!({"n": 2}))
            .await
            .ends_with("the result has no structured content")
    );
}

#[tokio::test(start_paused = true)]
async fn progress_keeps_the_deadline_away_and_the_cap_stays() {
    let hub = careful(Arc::new(AllowAll));
    let started = tokio::time::Instant::now();
    let result = hub.call("careful__steady", json!({"n": 5}), ctx()).await;
    assert_eq!(
        result,
        ToolResult::text("steady"),
        "100 s of work with a sign of life each 20 s"
    );
    assert_eq!(started.elapsed(), Duration::from_secs(100));

    let started = tokio::time::Instant::now();
    let result = hub.call("careful__steady", json!({"n": 1000}), ctx()).await;
    assert!(
        result.to_text().contains("did not answer within 600000 ms"),
        "{}",
        result.to_text()
    );
    assert_eq!(started.elapsed(), Duration::from_secs(600));
}

/// Decides as it was made, and counts.
struct Person {
    decision: Approval,
    asked: std::sync::atomic::AtomicU32,
}

impl crate::Approver for Person {
    fn approve<'a>(&'a self, call: ApprovalRequest<'a>) -> futures_util::future::BoxFuture<'a, Approval> {
        assert_eq!(call.arguments, &json!({"n": 1}));
        self.asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(std::future::ready(self.decision.clone()))
    }
}

#[tokio::test]
async fn the_policy_asks_a_person_and_refuses_where_there_is_none() {
    let hub = careful(Arc::new(crate::policy::AskBeforeChange));
    let args = || json!({"n": 1});
    assert!(
        !hub.call("careful__honest", args(), ctx()).await.is_error,
        "reading needs nobody"
    );
    let refused = hub.call("careful__steady", args(), ctx()).await;
    assert_eq!(
        refused,
        ToolResult::error(
            "'careful__steady' may not be called here: it may delete or overwrite, and nobody can be asked"
        )
    );
    for (decision, is_error) in [
        (Approval::Granted, false),
        (Approval::Refused("the user declined".into()), true),
    ] {
        let person = Arc::new(Person {
            decision,
            asked: Default::default(),
        });
        let mut ctx = ctx();
        ctx.approver = Some(Arc::clone(&person) as Arc<dyn crate::Approver>);
        tokio::time::pause();
        let result = hub.call("careful__steady", args(), ctx).await;
        tokio::time::resume();
        assert_eq!(result.is_error, is_error, "{}", result.to_text());
        assert_eq!(person.asked.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
    let rules = crate::policy::Rules {
        deny: vec!["careful__*".into()],
        ..Default::default()
    };
    let denied = careful(Arc::new(rules))
        .call("careful__honest", args(), ctx())
        .await;
    assert!(denied.to_text().ends_with("a rule of this machine forbids it"));
}

/// Ten toolsets with numbers, and a note of those that were asked for.
struct Numbered {
    versions: std::sync::Mutex<Vec<u64>>,
    asked: std::sync::Mutex<Vec<String>>,
    changed: watch::Sender<u64>,
}

impl Numbered {
    fn change(&self, at: usize) {
        self.versions.lock().unwrap()[at] += 1;
        self.changed.send_modify(|count| *count += 1);
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl ToolProvider for Numbered {
    fn toolsets(&self) -> Vec<Toolset> {
        unreachable!("whoever has numbers is asked one by one")
    }

    fn versions(&self) -> Option<Vec<(String, u64)>> {
        let versions = self.versions.lock().unwrap();
        let numbered = versions.iter().enumerate();
        Some(
            numbered
                .map(|(at, version)| (format!("set-{at}"), *version))
                .collect(),
        )
    }

    fn toolset(&self, id: &str) -> Option<Toolset> {
        self.asked.lock().unwrap().push(id.to_owned());
        let at: usize = id.strip_prefix("set-")?.parse().ok()?;
        let version = self.versions.lock().unwrap()[at];
        // The last one has a name that has to be shortened.
        let name = if at == 9 {
            "a name with spaces".into()
        } else {
            format!("tool-{version}")
        };
        Some(Toolset {
            id: id.to_owned(),
            name: id.to_owned(),
            status: "connected".into(),
            running: true,
            tools: vec![crate::ToolDefinition::new(name, "", Value::Null)],
        })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn call<'a>(
        &'a self,
        toolset: &'a str,
        tool: &'a str,
        _args: Value,
        _ctx: CallContext,
    ) -> futures_util::future::BoxFuture<'a, Result<ToolResult, CallError>> {
        Box::pin(std::future::ready(Ok(ToolResult::text(format!(
            "{toolset} {tool}"
        )))))
    }
}

#[tokio::test]
async fn only_what_changed_is_listed_again_where_a_provider_has_numbers() {
    let provider = Arc::new(Numbered {
        versions: std::sync::Mutex::new(vec![0; 10]),
        asked: std::sync::Mutex::default(),
        changed: watch::Sender::new(0),
    });
    let hub = Hub::default();
    hub.add_provider(Arc::clone(&provider) as Arc<dyn ToolProvider>);
    assert_eq!(provider.asked().len(), 10);
    let first = hub.catalog();
    provider.change(3);
    let second = hub.catalog();
    assert_eq!(
        provider.asked(),
        ["set-3", "set-9"],
        "what is shortened depends on the others and is asked for each time"
    );
    assert_eq!(second.revision, first.revision + 1);
    assert_eq!(second.tools.len(), 10);
    assert!(Arc::ptr_eq(&second.toolsets[2], &first.toolsets[2]));
    let said = hub.call("set-3__tool-1", json!({}), ctx()).await;
    assert_eq!(said, ToolResult::text("set-3 tool-1"));
    provider.changed.send_modify(|count| *count += 1);
    assert_eq!(
        hub.catalog().revision,
        second.revision,
        "nothing was said to have changed"
    );
}
