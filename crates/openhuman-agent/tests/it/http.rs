//! The adapter over real HTTP: quirks, faults, retries, limits.

use std::time::Duration;

use futures_util::StreamExt as _;
use openhuman_agent::mock::{Fault, MockServer, Quirk, Rule, Script};
use openhuman_agent::openai::OpenAiModel;
use openhuman_agent::{
    Agent, FailureKind, Message, Model as _, ModelError, ModelEvent, ModelRequest, ToolOutcome, TurnEvent,
};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{FakeTools, answer, config, failure, open_ai, prompt, run, spec};

fn two_calls() -> Script {
    Script::new("m")
        .rule(
            Rule::when_user_says(["both"])
                .before_tools()
                .call("s__one", json!({"key": "first é"}))
                .call(
                    "s__two",
                    json!({"key": "second", "deep": {"a": [1, 2, {"b": null}]}}),
                ),
        )
        .rule(
            Rule::when_user_says(["both"])
                .after_tools()
                .answer("{{tool:s__one.key}} and {{tool:s__two.key}}"),
        )
        .rule(Rule::when_user_says(["long"]).answer("one two three four five six seven eight"))
}

async fn both(script: Script) -> (Vec<TurnEvent>, MockServer) {
    let server = MockServer::start(script).await;
    let tools = FakeTools::new(&[("s__one", true), ("s__two", true)], |call| {
        ToolOutcome::success(call.arguments.to_string())
    });
    let agent = Agent::builder(open_ai(server.base_url(), "m"))
        .tools(tools)
        .build();
    (run(&agent, prompt("both please")).await, server)
}

#[tokio::test]
async fn every_quirk_ends_in_the_same_answer() {
    use Quirk::{
        CarriageReturns, Document, EmptyDeltas, FinishStop, FreshIds, HoldOpen, MalformedParallel, NoDone,
        NoUsage, ObjectArguments, RejectStreamOptions, ZeroIndexes,
    };
    let profiles: [&[Quirk]; 18] = [
        &[],
        &[FinishStop],
        &[ZeroIndexes],
        &[MalformedParallel],
        &[EmptyDeltas],
        &[NoDone],
        &[HoldOpen],
        &[ObjectArguments],
        &[NoUsage],
        &[Document],
        &[FreshIds],
        &[CarriageReturns],
        &[RejectStreamOptions],
        &[FinishStop, ZeroIndexes, NoDone, EmptyDeltas],
        &[ObjectArguments, MalformedParallel, FinishStop, NoUsage],
        &[FreshIds, NoDone, CarriageReturns, EmptyDeltas],
        &[Document, ObjectArguments, FinishStop],
        &[MalformedParallel, EmptyDeltas, NoDone],
    ];
    for quirks in profiles {
        let script = Script {
            quirks: quirks.to_vec(),
            ..two_calls()
        };
        let (events, server) = both(script).await;
        assert_eq!(answer(&events).0, "first é and second", "{quirks:?}");
        let called = events
            .iter()
            .filter(|event| matches!(event, TurnEvent::ToolCall { .. }))
            .count();
        assert_eq!(called, 2, "{quirks:?}");
        let bad = server
            .requests()
            .iter()
            .filter(|request| request.status != 200)
            .count();
        assert_eq!(
            bad,
            if quirks == [RejectStreamOptions] { 2 } else { 0 },
            "{quirks:?}"
        );
        let estimated = |event: &TurnEvent| matches!(event, TurnEvent::Usage { estimated: true, .. });
        let without_figures = quirks.contains(&NoUsage) || quirks.contains(&RejectStreamOptions);
        assert_eq!(events.iter().any(estimated), without_figures, "{quirks:?}");
    }
}

#[tokio::test]
async fn chatter_after_the_end_does_not_hold_the_answer_back() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            socket.read_buf(&mut request).await.unwrap();
        }
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"fin\"},\"finish_reason\":\"stop\"}]}\n\n";
        socket
            .write_all(format!("{head}{chunk}").as_bytes())
            .await
            .unwrap();
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        while socket.write_all(b": still here\n\n").await.is_ok() {
            pause.tick().await;
        }
    });
    let asked = ask(&open_ai(base_url, "m"), plain("x")).await.unwrap();
    assert_eq!(
        asked[0],
        ModelEvent::TextDelta {
            text: "fin".to_owned()
        }
    );
    tokio::time::timeout(Duration::from_secs(5), server)
        .await
        .expect("the connection is closed")
        .unwrap();
}

/// A server that reads one request and answers with `head`; `body` follows when it is told to go on.
async fn by_hand(
    head: &'static str,
    body: &'static str,
) -> (
    String,
    tokio::sync::oneshot::Sender<()>,
    tokio::task::JoinHandle<()>,
) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (go_on, told) = tokio::sync::oneshot::channel();
    let server = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            socket.read_buf(&mut request).await.unwrap();
        }
        socket.write_all(head.as_bytes()).await.unwrap();
        told.await.unwrap();
        socket.write_all(body.as_bytes()).await.unwrap();
    });
    (base_url, go_on, server)
}

#[tokio::test]
async fn a_model_that_sends_headers_at_once_may_still_read_a_long_prompt() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let body = "data: {\"choices\":[{\"delta\":{\"content\":\"read\"},\"finish_reason\":\"stop\"}]}\n\n";
    let (base_url, go_on, server) = by_hand(head, body).await;
    let model = open_ai(base_url, "m");
    let mut stream = model.stream(plain("x")).await.unwrap();
    tokio::time::pause();
    let mut next = stream.next();
    assert!(futures_util::poll!(&mut next).is_pending());
    tokio::time::advance(Duration::from_secs(200)).await;
    assert!(
        futures_util::poll!(&mut next).is_pending(),
        "longer than a pause within an answer, not longer than the first byte may take"
    );
    tokio::time::resume();
    go_on.send(()).unwrap();
    assert_eq!(
        next.await.unwrap().unwrap(),
        ModelEvent::TextDelta {
            text: "read".to_owned()
        }
    );
    server.await.unwrap();
}

#[tokio::test]
async fn an_error_page_that_repeats_the_request_does_not_show_the_key() {
    let head = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n";
    let body = "bad header authorization: Bearer sk-very-secret in the request";
    let (base_url, go_on, server) = by_hand(head, body).await;
    go_on.send(()).unwrap();
    let mut config = config(base_url, "m");
    config.api_key = Some("sk-very-secret".into());
    let error = ask(&OpenAiModel::new(config).unwrap(), plain("x"))
        .await
        .unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("bad header") && !text.contains("sk-very-secret"),
        "{text}"
    );
    server.await.unwrap();
}

pub(crate) fn plain(text: &str) -> ModelRequest {
    ModelRequest {
        messages: vec![Message::user(text)],
        ..ModelRequest::default()
    }
}

/// The events of one request, or the error that ended it.
pub(crate) async fn ask(model: &OpenAiModel, request: ModelRequest) -> Result<Vec<ModelEvent>, ModelError> {
    let mut events = Vec::new();
    let mut stream = model.stream(request).await?;
    while let Some(event) = stream.next().await {
        events.push(event?);
    }
    Ok(events)
}

async fn with_fault(fault: Fault) -> (ModelError, usize) {
    let script = Script::new("m").rule(Rule::when_user_says(["x"]).answer("a b c d e f g").fault(fault));
    let server = MockServer::start(script).await;
    let error = ask(&open_ai(server.base_url(), "m"), plain("x"))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains(&server.base_url()) && error.to_string().contains("`m`"),
        "{error}"
    );
    (error, server.requests().len())
}

#[tokio::test]
async fn faults_become_typed_errors() {
    let (error, tried) = with_fault(Fault::ServerError).await;
    assert!(
        matches!(
            error,
            ModelError::Server {
                status: Some(500),
                attempts: 4,
                ..
            }
        ),
        "{error:?}"
    );
    assert_eq!(tried, 4);
    let (error, tried) = with_fault(Fault::RateLimit { retry_after: 600 }).await;
    assert!(
        matches!(error, ModelError::RateLimited { attempts: 1, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("Try again in 600 s"), "{error}");
    assert_eq!(tried, 1, "nobody waits ten minutes");
    let (error, tried) = with_fault(Fault::NoCredit).await;
    assert!(error.to_string().contains("quota"), "{error}");
    assert_eq!(tried, 1, "no credit does not come back by waiting");
    let (error, tried) = with_fault(Fault::Garbage).await;
    assert!(matches!(error, ModelError::Garbage { .. }), "{error:?}");
    assert!(error.to_string().contains("OpenAI-compatible"), "{error}");
    assert_eq!(tried, 1);
    let (error, _) = with_fault(Fault::BrokenEvents).await;
    assert!(
        matches!(&error, ModelError::Garbage { reason, .. } if reason.contains("conte")),
        "{error:?}"
    );
    let (error, tried) = with_fault(Fault::Cut).await;
    assert!(matches!(error, ModelError::Cut { .. }), "{error:?}");
    assert_eq!(tried, 1, "no retry after the first byte");
    assert!(matches!(
        with_fault(Fault::EndEarly).await.0,
        ModelError::Cut { .. }
    ));
    let (error, _) = with_fault(Fault::Stall).await;
    assert!(error.is_timeout() && error.is_temporary(), "{error:?}");
    let (error, _) = with_fault(Fault::ErrorEvent).await;
    assert!(error.to_string().contains("overloaded"), "{error}");
}

#[tokio::test]
async fn a_stream_cut_inside_a_tool_call_calls_no_tool() {
    let mut script = two_calls();
    script.rules[0].fault = Some(Fault::Cut);
    let (events, _server) = both(script).await;
    assert_eq!(failure(&events).0, FailureKind::Model);
    assert!(
        !events
            .iter()
            .any(|event| matches!(event, TurnEvent::ToolCall { .. })),
        "{events:?}"
    );
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    for fault in [Fault::RateLimit { retry_after: 0 }, Fault::ServerError] {
        let rule = Rule::when_user_says(["x"]).answer("late").fault(fault).times(2);
        let script = Script::new("m")
            .rule(rule)
            .rule(Rule::when_user_says(["x"]).answer("fine"));
        let server = MockServer::start(script).await;
        let events = ask(&open_ai(server.base_url(), "m"), plain("x")).await.unwrap();
        assert_eq!(
            events[0],
            ModelEvent::TextDelta {
                text: "fine".to_owned()
            }
        );
        let statuses: Vec<u16> = server.requests().iter().map(|request| request.status).collect();
        assert_eq!(statuses.len(), 3, "{statuses:?}");
        assert_eq!(statuses[2], 200);
    }
}

#[tokio::test]
async fn a_slow_drip_is_not_a_failure() {
    let rule = Rule::when_user_says(["x"])
        .answer("a b c")
        .fault(Fault::SlowDrip { millis: 5 });
    let server = MockServer::start(Script::new("m").rule(rule)).await;
    let events = ask(&open_ai(server.base_url(), "m"), plain("x")).await.unwrap();
    assert_eq!(events.len(), 5, "{events:?}");
}

#[tokio::test]
async fn keys_models_and_sizes_are_checked() {
    let script = Script::new("m")
        .api_key("right")
        .rule(Rule::when_user_says(["x"]).answer("a b c d e f g h"));
    let server = MockServer::start(script).await;
    let with = |model: &str, key: Option<&str>| {
        let mut config = config(server.base_url(), model);
        config.api_key = key.map(Into::into);
        config
    };
    let error = ask(
        &OpenAiModel::new(with("m", Some("wrong-key"))).unwrap(),
        plain("x"),
    )
    .await
    .unwrap_err();
    assert!(
        matches!(error, ModelError::Unauthorized { status: 401, .. }),
        "{error:?}"
    );
    assert!(
        error.to_string().contains("OPENAI_API_KEY") && !error.to_string().contains("wrong-key"),
        "{error}"
    );
    let error = ask(
        &OpenAiModel::new(with("other", Some("right"))).unwrap(),
        plain("x"),
    )
    .await
    .unwrap_err();
    assert!(matches!(error, ModelError::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("`other`"), "{error}");
    let mut small = with("m", Some("right"));
    small.max_response_bytes = 200;
    let error = ask(&OpenAiModel::new(small).unwrap(), plain("x"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, ModelError::TooLarge { limit: 200, .. }),
        "{error:?}"
    );
    let bad = OpenAiModel::new(with("m", Some("line\nbreak"))).unwrap();
    assert!(matches!(
        ask(&bad, plain("x")).await,
        Err(ModelError::Config { .. })
    ));
    assert!(
        ask(&OpenAiModel::new(with("m", Some("right"))).unwrap(), plain("x"))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_rejected_request_carries_the_servers_words() {
    let server = MockServer::start(Script::new("m")).await;
    let mut request = plain("x");
    request.tools = vec![spec("not a name", true)];
    let error = ask(&open_ai(server.base_url(), "m"), request).await.unwrap_err();
    assert!(
        matches!(&error, ModelError::Rejected { status: 400, message, .. } if message.contains("not a name"))
    );
}
