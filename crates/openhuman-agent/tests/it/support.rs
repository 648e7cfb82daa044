//! Fakes and helpers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _};
use openhuman_agent::openai::retry::RetryPolicy;
use openhuman_agent::openai::{OpenAiConfig, OpenAiModel};
use openhuman_agent::{
    Agent, FailureKind, Message, Model, ModelError, ModelEvent, ModelRequest, Recalled, Role, StopReason,
    ToolCall, ToolOutcome, ToolSpec, Tools, TurnEvent, TurnInput,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

/// A model made of a function from requests to events.
pub(crate) struct FakeModel<F>(pub(crate) F);

impl<F: Fn(&ModelRequest) -> Vec<ModelEvent> + Send + Sync> Model for FakeModel<F> {
    fn name(&self) -> String {
        "fake".to_owned()
    }

    fn stream(
        &self,
        request: ModelRequest,
    ) -> BoxFuture<'_, Result<BoxStream<'static, Result<ModelEvent, ModelError>>, ModelError>> {
        let events = (self.0)(&request);
        async move { Ok(stream::iter(events.into_iter().map(Ok)).boxed()) }.boxed()
    }
}

pub(crate) fn says(text: &str) -> Vec<ModelEvent> {
    vec![
        ModelEvent::TextDelta {
            text: text.to_owned(),
        },
        ModelEvent::Done {
            reason: StopReason::Stop,
        },
    ]
}

pub(crate) fn calls(list: &[(&str, Value)]) -> Vec<ModelEvent> {
    let call = |(at, (name, arguments)): (usize, &(&str, Value))| ModelEvent::ToolCall {
        call: ToolCall {
            id: format!("c{at}"),
            name: (*name).to_owned(),
            arguments: arguments.clone(),
        },
    };
    let mut events: Vec<ModelEvent> = list.iter().enumerate().map(call).collect();
    events.push(ModelEvent::Done {
        reason: StopReason::Stop,
    });
    events
}

/// How many tool results the request holds.
pub(crate) fn results(request: &ModelRequest) -> usize {
    request
        .messages
        .iter()
        .filter(|message| message.role == Role::Tool)
        .count()
}

pub(crate) type ToolFn = dyn Fn(&ToolCall) -> ToolOutcome + Send + Sync;

/// Tools made of a function; counts the calls.
pub(crate) struct FakeTools {
    pub(crate) specs: Vec<ToolSpec>,
    pub(crate) function: Box<ToolFn>,
    pub(crate) count: AtomicUsize,
}

impl FakeTools {
    pub(crate) fn new(
        names: &[(&str, bool)],
        function: impl Fn(&ToolCall) -> ToolOutcome + Send + Sync + 'static,
    ) -> Arc<FakeTools> {
        let specs = names
            .iter()
            .map(|(name, read_only)| spec(name, *read_only))
            .collect();
        Arc::new(FakeTools {
            specs,
            function: Box::new(function),
            count: AtomicUsize::new(0),
        })
    }
}

pub(crate) fn spec(name: &str, read_only: bool) -> ToolSpec {
    ToolSpec {
        name: name.to_owned(),
        description: format!("the tool {name}"),
        parameters: json!({"type": "object", "properties": {}}),
        read_only,
    }
}

impl Tools for FakeTools {
    fn list(&self) -> BoxFuture<'_, Vec<ToolSpec>> {
        async { self.specs.clone() }.boxed()
    }

    fn call<'a>(&'a self, call: &'a ToolCall, _cancel: CancellationToken) -> BoxFuture<'a, ToolOutcome> {
        async move {
            self.count.fetch_add(1, Ordering::SeqCst);
            (self.function)(call)
        }
        .boxed()
    }
}

pub(crate) fn prompt(text: &str) -> TurnInput {
    TurnInput {
        prompt: text.to_owned(),
        ..TurnInput::default()
    }
}

pub(crate) fn recalled(title: &str, text: &str) -> Recalled {
    Recalled {
        title: title.to_owned(),
        source: format!("{title}.md"),
        text: text.to_owned(),
        score: 1.0,
    }
}

pub(crate) async fn run(agent: &Agent, input: TurnInput) -> Vec<TurnEvent> {
    agent.run(input, CancellationToken::new()).collect().await
}

pub(crate) fn answer(events: &[TurnEvent]) -> (String, Vec<Message>) {
    match events.last() {
        Some(TurnEvent::Done { answer, messages }) => (answer.clone(), messages.clone()),
        other => panic!("no answer: {other:?}"),
    }
}

pub(crate) fn failure(events: &[TurnEvent]) -> (FailureKind, String) {
    match events.last() {
        Some(TurnEvent::Failed { kind, message }) => (*kind, message.clone()),
        other => panic!("no failure: {other:?}"),
    }
}

/// A configuration with short waits.
pub(crate) fn config(base_url: String, model: &str) -> OpenAiConfig {
    OpenAiConfig {
        base_url,
        model: model.to_owned(),
        idle_timeout: Duration::from_millis(300),
        retry: RetryPolicy {
            base: Duration::from_millis(1),
            ..RetryPolicy::default()
        },
        ..OpenAiConfig::default()
    }
}

pub(crate) fn open_ai(base_url: String, model: &str) -> Arc<OpenAiModel> {
    Arc::new(OpenAiModel::new(config(base_url, model)).unwrap())
}
