//! The host side of a test file: it carries out what the test asks of the simulated skill, one step at a time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, oneshot};

use super::Simulator;
use super::net::{Answers, Reply};
use super::simulator::Step;
use crate::{HostModule, RpcError, SkillId, SkillPackage};

/// The name of the host module. The harness takes it away from the test before the test runs.
const NAME: &str = "kithost";

/// One test file's simulator. Each test gets a new one.
pub(super) struct Session {
    package: SkillPackage,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) simulator: Option<Simulator>,
    /// The step that is under way.
    work: Option<Work>,
    /// The request that waits for the test's answer.
    asked: Option<oneshot::Sender<Reply>>,
}

struct Work {
    future: BoxFuture<'static, Value>,
    /// Whether time passes by itself while it waits.
    patient: Arc<AtomicBool>,
}

/// What a test asks for.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
enum Command {
    Start,
    Stop,
    Call {
        tool: String,
        args: Value,
    },
    Event {
        name: String,
        data: Value,
    },
    Hook {
        name: String,
        args: Value,
    },
    Setup,
    Submit {
        step: Value,
        values: Value,
    },
    Rpc {
        method: String,
        params: Value,
    },
    Advance {
        ms: u64,
    },
    On {
        route: String,
        #[serde(default)]
        replies: VecDeque<Reply>,
        function: Option<u64>,
    },
    Secret {
        handle: String,
        to: String,
        value: String,
    },
    Get {
        what: String,
    },
}

impl Session {
    pub(super) fn new(package: SkillPackage) -> Self {
        let state = Mutex::default();
        Self { package, state }
    }

    /// What the last test left behind.
    pub(super) async fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().await
    }

    async fn reset(&self) -> Result<Value, String> {
        let simulator = Simulator::new(self.package.clone()).await;
        *self.state.lock().await = State {
            simulator: Some(simulator.map_err(|error| error.to_string())?),
            ..State::default()
        };
        Ok(Value::Null)
    }

    async fn begin(&self, command: Command) -> Result<Value, String> {
        let mut state = self.state.lock().await;
        let State { simulator, work, .. } = &mut *state;
        let simulator = simulator
            .as_mut()
            .ok_or("the simulator can be used inside of tests only")?;
        match command {
            Command::On {
                route,
                replies,
                function,
            } => {
                let answers = function.map_or(Answers::Fixed(replies), Answers::Function);
                simulator.net.on(&route, answers)?;
                return Ok(done(Value::Null));
            }
            Command::Secret { handle, to, value } => {
                simulator.secrets.set(&simulator.skill, &handle, &to, &value)?;
                return Ok(done(Value::Null));
            }
            Command::Get { what } => return Ok(done(look(simulator, &what))),
            other => *work = Some(start(simulator, other)),
        }
        state.proceed().await
    }

    async fn answer(&self, reply: Reply) -> Result<Value, String> {
        let mut state = self.state.lock().await;
        if let Some(asked) = state.asked.take() {
            let _ = asked.send(reply);
        }
        state.proceed().await
    }
}

impl State {
    /// Goes on with the step under way, to its end or to the next request the test must answer.
    async fn proceed(&mut self) -> Result<Value, String> {
        let (Some(simulator), Some(work)) = (&mut self.simulator, &mut self.work) else {
            return Err("no step is under way".to_owned());
        };
        match simulator.drive(&mut work.future, &work.patient).await {
            Step::Done(value) => {
                self.work = None;
                Ok(value)
            }
            Step::Asked(ask) => {
                self.asked = Some(ask.reply);
                Ok(json!({ "ask": { "function": ask.function, "request": ask.request } }))
            }
        }
    }
}

fn done(value: impl Into<Value>) -> Value {
    let value: Value = value.into();
    json!({ "value": value })
}

fn told(outcome: Result<Value, RpcError>) -> Value {
    match outcome {
        Ok(value) => done(value),
        Err(error) => failed(&error.to_string()),
    }
}

fn failed(text: &str) -> Value {
    json!({ "error": text })
}

/// Begins a step that runs the skill. A skill that has not been started is started first.
fn start(simulator: &mut Simulator, command: Command) -> Work {
    let patient = Arc::new(AtomicBool::new(true));
    if let Command::Stop = command {
        let stopping = simulator.stopping();
        let future = stopping.map(|outcome| match outcome {
            Ok(()) => done(Value::Null),
            Err(error) => failed(&error.to_string()),
        });
        return Work {
            future: future.boxed(),
            patient,
        };
    }
    let starting = simulator.starting();
    let step = step(simulator, command, &patient);
    let future = async move {
        match starting.await {
            Ok(()) => step.await,
            Err(error) => failed(&error.to_string()),
        }
    };
    Work {
        future: future.boxed(),
        patient,
    }
}

fn step(simulator: &Simulator, command: Command, patient: &Arc<AtomicBool>) -> BoxFuture<'static, Value> {
    let settling = simulator.settling();
    match command {
        Command::Call { tool, args } => {
            let call = simulator.calling(&tool, args);
            async move {
                match call.await {
                    Ok(text) => done(Value::String(text)),
                    Err(error) => failed(&error.to_string()),
                }
            }
            .boxed()
        }
        Command::Hook { name, args } => {
            let sources = Arc::clone(&simulator.sources);
            let call = simulator.calling_function(&name, args);
            async move {
                match call.await {
                    Ok(value) => done(value),
                    Err(error) => failed(&sources.annotate(&error.describe(&name))),
                }
            }
            .boxed()
        }
        Command::Setup => {
            let (engine, skill) = (simulator.engine.clone(), simulator.skill.clone());
            async move { told(engine.setup_start(&skill).await) }.boxed()
        }
        Command::Submit { step, values } => {
            let (engine, skill) = (simulator.engine.clone(), simulator.skill.clone());
            async move { told(engine.setup_submit(&skill, step, values).await) }.boxed()
        }
        Command::Rpc { method, params } => {
            let (engine, skill) = (simulator.engine.clone(), simulator.skill.clone());
            async move { told(engine.rpc(&skill, &method, params).await) }.boxed()
        }
        Command::Event { name, data } => {
            let (engine, patient) = (simulator.engine.clone(), Arc::clone(patient));
            async move {
                patient.store(false, Ordering::Relaxed);
                let delivered = engine.server_event(&name, data).await;
                settling.await;
                done(json!(delivered))
            }
            .boxed()
        }
        Command::Advance { ms } => {
            let (advancing, patient) = (
                simulator.advancing(Duration::from_millis(ms)),
                Arc::clone(patient),
            );
            async move {
                patient.store(false, Ordering::Relaxed);
                advancing.await;
                done(Value::Null)
            }
            .boxed()
        }
        // Only to be started.
        _ => async move {
            settling.await;
            done(Value::Null)
        }
        .boxed(),
    }
}

/// What a test may look at.
fn look(simulator: &mut Simulator, what: &str) -> Value {
    let snapshot = simulator.snapshot();
    match what {
        "now" => json!(simulator.now_ms()),
        "logs" => json!(simulator.logs()),
        "notifications" => json!(simulator.notices()),
        "requests" => json!(simulator.requests()),
        "state" => snapshot.map_or(json!({}), |snapshot| snapshot.state),
        "tools" => snapshot.map_or(json!([]), |snapshot| json!(snapshot.tools)),
        "status" => snapshot.map_or(Value::Null, |snapshot| json!(snapshot.status)),
        "schedules" => {
            let all = simulator.engine.schedules(&simulator.skill).into_iter();
            all.map(|schedule| (schedule.id, Value::String(schedule.expression)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        _ => Value::Null,
    }
}

impl HostModule for Session {
    fn name(&self) -> &str {
        NAME
    }

    fn functions(&self) -> &[&str] {
        &["reset", "begin", "answer"]
    }

    fn call(&self, _: &SkillId, function: &str, args: Value) -> BoxFuture<'_, Result<Value, String>> {
        let function = function.to_owned();
        async move {
            let argument = args.get(0).cloned().unwrap_or_default();
            let unreadable = |error: serde_json::Error| error.to_string();
            match function.as_str() {
                "reset" => self.reset().await,
                "begin" => {
                    let command = serde_json::from_value(argument).map_err(unreadable)?;
                    self.begin(command).await.or_else(|text| Ok(failed(&text)))
                }
                _ => {
                    self.answer(serde_json::from_value(argument).map_err(unreadable)?)
                        .await
                }
            }
        }
        .boxed()
    }
}
