//! Serves one turn: does what it asks for and tells the reader.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, FuturesUnordered};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Parts, Start};
use crate::event::{FailureKind, TurnEvent};
use crate::message::{ToolCall, ToolOutcome, ToolSpec};
use crate::model::{Model, ModelError, ModelEvent, ModelRequest, Usage};
use crate::ports::Approval;
use crate::search::{self, FIND_TOOLS};
use crate::turn::{Action, ApprovalRequest, End, Input, Transition, Turn};

/// One thing under way besides the model.
type Job = BoxFuture<'static, Vec<Input>>;

pub(super) struct Driver {
    pub(super) parts: Arc<Parts>,
    events: mpsc::Sender<TurnEvent>,
    cancel: CancellationToken,
}

impl Driver {
    pub(super) fn new(
        parts: Arc<Parts>,
        events: mpsc::Sender<TurnEvent>,
        cancel: CancellationToken,
    ) -> Driver {
        Driver {
            parts,
            events,
            cancel,
        }
    }

    pub(super) async fn run(self, start: Start) {
        let started = self
            .cancel
            .clone()
            .run_until_cancelled_owned(self.prepare(start))
            .await;
        let mut turn = match started {
            None => {
                return self
                    .fail(FailureKind::Cancelled, "The turn was cancelled.".to_owned())
                    .await;
            }
            Some(Err((kind, message))) => return self.fail(kind, message).await,
            Some(Ok(turn)) => turn,
        };
        // Tools see this token; it fires when the driver ends for whatever reason, also when it is dropped.
        let tools_cancel = self.cancel.child_token();
        let _guard = tools_cancel.clone().drop_guard();
        let finished = self
            .cancel
            .clone()
            .run_until_cancelled_owned(self.drive(&mut turn, &tools_cancel))
            .await;
        if finished.is_none() {
            turn.apply(Input::Cancel, self.now());
            self.report_results(&mut turn).await;
            self.keep(&mut turn).await;
        }
        match turn.end().cloned() {
            Some(End::Answered { answer }) => {
                self.send(TurnEvent::Done {
                    answer,
                    messages: turn.messages(),
                })
                .await;
            }
            Some(End::Failed { kind, message }) => self.fail(kind, message).await,
            None if turn.is_paused() => {
                let requests = turn.approvals();
                self.send(TurnEvent::Paused { requests }).await;
            }
            None => {}
        }
    }

    pub(super) async fn send(&self, event: TurnEvent) {
        // The receiver lives in the same stream as this future; if it is gone, so are we.
        let _ = self.events.send(event).await;
    }

    async fn fail(&self, kind: FailureKind, message: String) {
        self.send(TurnEvent::Failed { kind, message }).await;
    }

    pub(super) fn now(&self) -> i64 {
        self.parts.clock.now_ms()
    }

    pub(super) async fn notice(&self, message: String) {
        tracing::warn!(%message, "turn notice");
        self.send(TurnEvent::Notice { message }).await;
    }

    /// Serves the turn until it is finished.
    async fn drive(&self, turn: &mut Turn, tools_cancel: &CancellationToken) {
        let mut jobs: FuturesUnordered<Job> = FuturesUnordered::new();
        let mut reply: Option<BoxStream<'static, Result<ModelEvent, ModelError>>> = None;
        let mut counted = false;
        if !self.keep(turn).await {
            return;
        }
        loop {
            while let Some(action) = turn.poll(self.now()) {
                // Written before it happens, so that a resumed turn knows what had been started.
                if !self.keep(turn).await {
                    return;
                }
                match action {
                    Action::Finish(_) => return,
                    Action::RequestModel(request) => {
                        counted = false;
                        reply = Some(ask(Arc::clone(&self.parts.model), request));
                    }
                    Action::CallTools(calls) => {
                        for call in calls {
                            self.send(TurnEvent::ToolCall { call: call.clone() }).await;
                            jobs.push(self.call(call, tools_cancel.clone()));
                        }
                    }
                    Action::AskApproval {
                        call,
                        tool,
                        reason,
                        repeat,
                    } => {
                        let request = ApprovalRequest {
                            call,
                            tool,
                            reason,
                            repeat,
                        };
                        let job = self.approval(request).await;
                        jobs.push(job);
                    }
                }
            }
            if reply.is_none() && jobs.is_empty() && turn.is_paused() {
                return;
            }
            let inputs = tokio::select! {
                input = next_event(&mut reply) => vec![input],
                Some(inputs) = jobs.next(), if !jobs.is_empty() => inputs,
                () = self.deadline(turn) => continue,
            };
            for input in inputs {
                let shown = self.shown(turn, &input, &mut counted);
                let transition = turn.apply(input, self.now());
                let text = turn.take_text();
                if !text.is_empty() {
                    self.send(TurnEvent::TextDelta { text }).await;
                }
                if let Some(event) = shown {
                    self.send(event).await;
                }
                if transition == Transition::Milestone {
                    self.report_results(turn).await;
                    if !self.keep(turn).await {
                        return;
                    }
                }
            }
        }
    }

    /// What the reader is told about an input, besides text.
    fn shown(&self, turn: &Turn, input: &Input, counted: &mut bool) -> Option<TurnEvent> {
        let told = |usage: Usage, estimated| TurnEvent::Usage {
            prompt_tokens: usage.prompt_tokens,
            completion_tokens: usage.completion_tokens,
            estimated,
        };
        match input {
            Input::Model(ModelEvent::ReasoningDelta { text }) => {
                Some(TurnEvent::ReasoningDelta { text: text.clone() })
            }
            Input::Model(ModelEvent::Usage { usage }) => {
                *counted = true;
                Some(told(*usage, false))
            }
            Input::Model(ModelEvent::Done { .. }) if !*counted => Some(told(turn.estimate_reply(), true)),
            _ => None,
        }
    }

    /// Asks for approval. When the answer does not come at once, the reader is told.
    async fn approval(&self, request: ApprovalRequest) -> Job {
        let approver = Arc::clone(&self.parts.approver);
        let (call, tool, repeat) = (request.call.clone(), request.tool.clone(), request.repeat);
        let mut asking: Job = async move {
            let approval = if repeat {
                approver.approve_repeat(&call, &tool).await
            } else {
                approver.approve(&call, &tool).await
            };
            let id = call.id;
            vec![Input::Approval { id, approval }]
        }
        .boxed();
        let at_once = asking.as_mut().now_or_never();
        let later = |inputs: &Vec<Input>| {
            let is_later = |input: &Input| {
                matches!(
                    input,
                    Input::Approval {
                        approval: Approval::Later,
                        ..
                    }
                )
            };
            inputs.iter().any(is_later)
        };
        if at_once.as_ref().is_none_or(later) {
            self.send(TurnEvent::ApprovalRequest { request }).await;
        }
        match at_once {
            Some(inputs) => std::future::ready(inputs).boxed(),
            None => asking,
        }
    }

    async fn report_results(&self, turn: &mut Turn) {
        for result in turn.take_results() {
            self.send(TurnEvent::ToolResult {
                id: result.id,
                name: result.name,
                text: result.text,
                is_error: result.is_error,
                millis: result.millis,
            })
            .await;
        }
    }

    /// Writes the turn to the journal. On failure the turn ends: without its journal it could not be resumed.
    async fn keep(&self, turn: &mut Turn) -> bool {
        let Some(journal) = &self.parts.journal else {
            return true;
        };
        let entry = match turn.to_json() {
            Ok(entry) => entry,
            Err(error) => return self.journal_failed(turn, &error.to_string()),
        };
        match journal.append(&entry).await {
            Ok(()) => true,
            Err(error) => self.journal_failed(turn, &error.to_string()),
        }
    }

    fn journal_failed(&self, turn: &mut Turn, reason: &str) -> bool {
        let message = format!(
            "The turn was stopped because it could not be kept: {reason}. Free disk space or check the disk."
        );
        turn.apply(
            Input::Abort {
                kind: FailureKind::Journal,
                message,
            },
            self.now(),
        );
        false
    }

    fn call(&self, call: ToolCall, cancel: CancellationToken) -> Job {
        let parts = Arc::clone(&self.parts);
        async move {
            let started = parts.clock.now_ms();
            let (mut inputs, outcome) = if call.name == FIND_TOOLS && parts.window.is_some() {
                let index = parts.indexes.index(parts.tools.list().await);
                let (text, found) = search::find(&index, &call.arguments);
                let offer = |tool: ToolSpec| (parts.tools.risk(&tool), tool);
                let tools = found
                    .into_iter()
                    .map(offer)
                    .map(|(risk, tool)| (tool, risk))
                    .collect();
                (vec![Input::Offer { tools }], ToolOutcome::success(text))
            } else {
                let outcome = AssertUnwindSafe(parts.tools.call(&call, cancel))
                    .catch_unwind()
                    .await;
                let crashed = || ToolOutcome::error("the tool crashed; this is a bug in the tool");
                (Vec::new(), outcome.unwrap_or_else(|_| crashed()))
            };
            let millis = u64::try_from(parts.clock.now_ms().saturating_sub(started)).unwrap_or(0);
            inputs.push(Input::Tool {
                id: call.id,
                outcome,
                millis,
            });
            inputs
        }
        .boxed()
    }

    /// Waits until the wall-clock budget may have run out.
    async fn deadline(&self, turn: &Turn) {
        let left = u64::try_from(turn.deadline_ms().saturating_sub(self.now())).unwrap_or(0);
        // At least a millisecond, so that a clock that lags behind the runtime's does not spin.
        tokio::time::sleep(Duration::from_millis(left.max(1))).await;
    }
}

fn ask(model: Arc<dyn Model>, request: ModelRequest) -> BoxStream<'static, Result<ModelEvent, ModelError>> {
    stream::once(async move { model.stream(request).await })
        .try_flatten()
        .boxed()
}

/// The next event of the reply under way; never resolves when there is none.
async fn next_event(reply: &mut Option<BoxStream<'static, Result<ModelEvent, ModelError>>>) -> Input {
    let Some(stream) = reply else {
        return poll_fn(|_| Poll::Pending).await;
    };
    let input = match stream.next().await {
        Some(Ok(event)) => Input::Model(event),
        Some(Err(error)) => Input::ModelFailed {
            message: error.to_string(),
        },
        None => Input::ModelFailed {
            message: "The model stopped in the middle of its answer. Try again.".to_owned(),
        },
    };
    if matches!(
        input,
        Input::Model(ModelEvent::Done { .. }) | Input::ModelFailed { .. }
    ) {
        *reply = None;
    }
    input
}
