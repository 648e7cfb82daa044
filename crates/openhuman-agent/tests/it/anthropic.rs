//! The Anthropic adapter over real HTTP: quirks, faults, retries, thinking, models.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use openhuman_agent::anthropic::{AnthropicConfig, AnthropicModel};
use openhuman_agent::local::{LocalPort, detect};
use openhuman_agent::mock::{Cassette, CassetteServer, Fault, MockServer, Quirk, Rule, Script};
use openhuman_agent::openai::retry::RetryPolicy;
use openhuman_agent::{
    Agent, Message, Model as _, ModelError, ModelEvent, ModelRequest, ToolOutcome, TurnEvent, TurnInput,
};
use serde_json::{Value, json};

use crate::support::{FakeTools, answer, open_ai, prompt, run};

fn config(base_url: String) -> AnthropicConfig {
    AnthropicConfig {
        base_url,
        model: "m".to_owned(),
        api_key: Some("sk-ant-very-private-key".into()),
        idle_timeout: Duration::from_millis(500),
        retry: RetryPolicy {
            base: Duration::from_millis(1),
            ..RetryPolicy::default()
        },
        ..AnthropicConfig::default()
    }
}

fn model(base_url: String) -> Arc<AnthropicModel> {
    Arc::new(AnthropicModel::new(config(base_url)).unwrap())
}

fn two_calls() -> Script {
    Script::new("m")
        .rule(
            Rule::when_user_says(["both"])
                .before_tools()
                .call("s__one", json!({"key": "first é"}))
                .call("s__two", json!({"key": "second", "deep": {"a": [1, null]}})),
        )
        .rule(
            Rule::when_user_says(["both"])
                .after_tools()
                .answer("{{tool:s__one.key}} and {{tool:s__two.key}}"),
        )
        .rule(Rule::when_user_says(["long"]).answer("one two three four five six"))
}

fn tools() -> Arc<FakeTools> {
    FakeTools::new(&[("s__one", true), ("s__two", true)], |call| {
        ToolOutcome::success(call.arguments.to_string())
    })
}

async fn ask(model: &AnthropicModel, text: &str) -> Result<Vec<ModelEvent>, ModelError> {
    let request = ModelRequest {
        messages: vec![Message::user(text)],
        ..ModelRequest::default()
    };
    let mut events = model.stream(request).await?;
    let mut all = Vec::new();
    while let Some(event) = events.next().await {
        all.push(event?);
    }
    Ok(all)
}

fn said(events: &[ModelEvent]) -> String {
    let text = |event: &ModelEvent| match event {
        ModelEvent::TextDelta { text } => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

#[tokio::test]
async fn every_quirk_ends_in_the_same_answer() {
    use Quirk::{
        CarriageReturns, Document, EmptyDeltas, FinishStop, HoldOpen, NoDone, NoUsage, ObjectArguments,
        ZeroIndexes,
    };
    let profiles: [&[Quirk]; 12] = [
        &[],
        &[FinishStop],
        &[ZeroIndexes],
        &[EmptyDeltas],
        &[NoDone],
        &[HoldOpen],
        &[ObjectArguments],
        &[NoUsage],
        &[Document],
        &[CarriageReturns],
        &[FinishStop, ZeroIndexes, NoDone, EmptyDeltas],
        &[ObjectArguments, CarriageReturns, ZeroIndexes, NoUsage],
    ];
    for quirks in profiles {
        let script = Script {
            quirks: quirks.to_vec(),
            ..two_calls()
        };
        let server = MockServer::start(script).await;
        let agent = Agent::builder(model(server.base_url())).tools(tools()).build();
        let input = TurnInput {
            history: vec![Message::user("before"), Message::assistant("yes")],
            ..prompt("both please")
        };
        let events = run(&agent, input).await;
        assert_eq!(answer(&events).0, "first é and second", "{quirks:?}");
        for request in server.requests() {
            assert_eq!(request.status, 200, "{quirks:?}: {request:?}");
            assert_eq!(request.path, "/v1/messages");
        }
        let estimated = |event: &TurnEvent| matches!(event, TurnEvent::Usage { estimated: true, .. });
        assert_eq!(
            events.iter().any(estimated),
            quirks.contains(&NoUsage),
            "{quirks:?}"
        );
    }
}

#[tokio::test]
async fn busy_servers_are_asked_again_with_both_forms_of_retry_after() {
    let faults = [
        Fault::RateLimit { retry_after: 0 },
        Fault::RateLimitUntil { seconds: 1 },
        Fault::Overloaded,
        Fault::OverloadedEvent,
        Fault::ServerError,
    ];
    for fault in faults {
        let script = Script::new("m")
            .rule(Rule::when_user_says(["x"]).answer("never").fault(fault).times(1))
            .rule(Rule::when_user_says(["x"]).answer("at last"));
        let server = MockServer::start(script).await;
        let events = ask(&model(server.base_url()), "x").await.unwrap();
        assert_eq!(said(&events), "at last", "{fault:?}");
        assert_eq!(server.requests().len(), 2, "{fault:?}");
    }
    // A date far away is not waited for.
    let script = Script::new("m").rule(
        Rule::when_user_says(["x"])
            .answer("never")
            .fault(Fault::RateLimitUntil { seconds: 3600 }),
    );
    let server = MockServer::start(script).await;
    let error = ask(&model(server.base_url()), "x").await.unwrap_err();
    let ModelError::RateLimited {
        attempts,
        retry_after,
        ..
    } = error
    else {
        panic!("{error:?}")
    };
    assert_eq!(attempts, 1);
    assert!(
        retry_after.unwrap() > Duration::from_secs(3500),
        "{retry_after:?}"
    );
}

#[tokio::test]
async fn every_fault_is_named() {
    type Fits = fn(&ModelError) -> bool;
    let cases: [(Fault, Fits); 7] = [
        (Fault::Cut, |error| matches!(error, ModelError::Cut { .. })),
        (Fault::EndEarly, |error| matches!(error, ModelError::Cut { .. })),
        (Fault::BrokenEvents, |error| {
            matches!(error, ModelError::Garbage { .. })
        }),
        (Fault::Garbage, |error| {
            matches!(error, ModelError::Garbage { .. })
        }),
        (Fault::Stall, |error| matches!(error, ModelError::Timeout { .. })),
        (Fault::ErrorEvent, |error| {
            matches!(error, ModelError::Server { status: None, .. })
                && error.to_string().contains("overloaded_error")
        }),
        (Fault::NoCredit, |error| {
            matches!(error, ModelError::RateLimited { attempts: 1, .. })
        }),
    ];
    for (fault, expected) in cases {
        let script = Script::new("m").rule(
            Rule::when_user_says(["x"])
                .answer("one two three four")
                .fault(fault),
        );
        let server = MockServer::start(script).await;
        let error = ask(&model(server.base_url()), "x").await.unwrap_err();
        assert!(expected(&error), "{fault:?}: {error:?}");
        assert!(!error.to_string().contains("very-private"), "{error}");
        assert_eq!(
            server.requests().len(),
            1,
            "{fault:?}: shown text is never asked for again"
        );
    }
    let slow = Script::new("m").rule(
        Rule::when_user_says(["x"])
            .answer("one two three")
            .fault(Fault::SlowDrip { millis: 20 }),
    );
    let server = MockServer::start(slow).await;
    assert_eq!(
        said(&ask(&model(server.base_url()), "x").await.unwrap()),
        "one two three"
    );
}

#[tokio::test]
async fn keys_are_sent_and_refused_keys_are_said() {
    let server = MockServer::start(two_calls().api_key("sk-ant-very-private-key")).await;
    ask(&model(server.base_url()), "long").await.unwrap();
    assert!(server.requests()[0].has_token);
    let server = MockServer::start(two_calls().api_key("another")).await;
    let error = ask(&model(server.base_url()), "long").await.unwrap_err();
    assert!(
        matches!(error, ModelError::Unauthorized { status: 401, .. }),
        "{error:?}"
    );
    assert!(error.to_string().contains("ANTHROPIC_API_KEY"), "{error}");
}

#[tokio::test]
async fn thinking_is_shown_and_goes_back_signed_with_the_results() {
    let server = MockServer::start(two_calls()).await;
    let thinking = AnthropicConfig {
        thinking_tokens: Some(2048),
        ..config(server.base_url())
    };
    let agent = Agent::builder(Arc::new(AnthropicModel::new(thinking.clone()).unwrap()))
        .tools(tools())
        .build();
    let events = run(&agent, prompt("both please")).await;
    assert_eq!(answer(&events).0, "first é and second");
    let reasoning = |event: &&TurnEvent| matches!(event, TurnEvent::ReasoningDelta { .. });
    assert_eq!(events.iter().filter(reasoning).count(), 2);
    let second = &server.requests()[1];
    assert_eq!(second.status, 200, "{second:?}");
    assert_eq!(second.body["messages"][1]["content"][0]["type"], "thinking");

    // Another process has no thoughts: the turn goes on without thinking.
    let history = answer(&events).1;
    let request = ModelRequest {
        messages: history[..4].to_vec(),
        ..ModelRequest::default()
    };
    let fresh = AnthropicModel::new(thinking).unwrap();
    let mut stream = fresh.stream(request).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(server.requests()[2].body.get("thinking"), None);
}

#[tokio::test]
async fn models_are_listed_in_both_formats_and_local_servers_are_found() {
    let server = MockServer::start(two_calls()).await;
    let ids = |models: Vec<openhuman_agent::ModelInfo>| {
        models.into_iter().map(|model| model.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(model(server.base_url()).models().await.unwrap()), ["m"]);
    assert_eq!(
        ids(open_ai(server.base_url(), "m").models().await.unwrap()),
        ["m"]
    );

    let port = server
        .base_url()
        .split(':')
        .nth(2)
        .unwrap()
        .trim_end_matches("/v1")
        .parse()
        .unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = nobody.local_addr().unwrap().port();
    drop(nobody);
    let ports = [
        LocalPort {
            name: "LM Studio",
            port: closed,
        },
        LocalPort { name: "Ollama", port },
    ];
    let found = detect(&ports).await;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].name, found[0].base_url.as_str()),
        ("Ollama", server.base_url().as_str())
    );
    assert_eq!(found[0].models[0].id, "m");
}

#[tokio::test]
async fn a_recording_plays_back_without_its_secrets() {
    let server = MockServer::start(two_calls().api_key("sk-ant-very-private-key")).await;
    let origin = server.base_url().trim_end_matches("/v1").to_owned();
    let recorder = CassetteServer::record(&origin, vec!["hidden-word".to_owned()])
        .await
        .unwrap();
    let question = "long, and the password is hidden-word";
    let live = ask(&model(recorder.base_url()), question).await.unwrap();
    let cassette = recorder.cassette();
    assert_eq!(cassette.exchanges.len(), 1);
    let text = cassette.to_text();
    assert!(
        !text.contains("very-private") && !text.contains("hidden-word"),
        "{text}"
    );
    drop((server, recorder));

    let player = CassetteServer::play(Cassette::parse(&text).unwrap())
        .await
        .unwrap();
    let again = ask(&model(player.base_url()), "long, and the password is [redacted]")
        .await
        .unwrap();
    assert_eq!(again, live);
    let error = ask(&model(player.base_url()), "something else")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, ModelError::NotFound { message, .. } if message.contains("cassette")),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_strict_server_refuses_what_the_api_refuses() {
    let server = MockServer::start(two_calls()).await;
    let odd = AnthropicConfig {
        extra: serde_json::from_value::<serde_json::Map<String, Value>>(json!({"speed": 1})).unwrap(),
        ..config(server.base_url())
    };
    let error = ask(&AnthropicModel::new(odd).unwrap(), "long").await.unwrap_err();
    assert!(
        matches!(&error, ModelError::Rejected { status: 400, message, .. } if message.contains("speed")),
        "{error:?}"
    );
    let other = AnthropicConfig {
        model: "unknown".to_owned(),
        ..config(server.base_url())
    };
    let error = ask(&AnthropicModel::new(other).unwrap(), "long")
        .await
        .unwrap_err();
    assert!(matches!(error, ModelError::NotFound { .. }), "{error:?}");
}
