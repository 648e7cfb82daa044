//! A scripted model server for tests and demos: real HTTP on loopback, the wire formats of OpenAI and Anthropic, strict
//! about what it is sent. [`CassetteServer`] records a real server and plays the recording back.
//!
//! It answers `POST /v1/chat/completions` and `POST /v1/messages` (streamed or whole) and `GET /v1/models`. What it says is composed from the
//! tool results and the recalled context in the request, by a [`Script`]; it can also misbehave on purpose, see
//! [`Fault`] and [`Quirk`].
//!
//! ```
//! use openhuman_agent::mock::{MockServer, Rule, Script};
//! use openhuman_agent::openai::{OpenAiConfig, OpenAiModel};
//! use openhuman_agent::{Agent, TurnEvent, TurnInput};
//! use futures_util::StreamExt as _;
//! use std::sync::Arc;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let script = Script::new("tiny").rule(Rule::when_user_says(["hello"]).answer("You said: {{user}}"));
//! let server = MockServer::start(script).await;
//! let config = OpenAiConfig { base_url: server.base_url(), model: "tiny".into(), ..OpenAiConfig::default() };
//! let agent = Agent::builder(Arc::new(OpenAiModel::new(config).unwrap())).build();
//! let input = TurnInput { prompt: "Hello there".into(), ..TurnInput::default() };
//! let events: Vec<TurnEvent> = agent.run(input, Default::default()).collect().await;
//! let Some(TurnEvent::Done { answer, .. }) = events.last() else { panic!("{events:?}") };
//! assert_eq!(answer, "You said: Hello there");
//! # }
//! ```

mod answer;
mod cassette;
mod chunks;
mod conversation;
mod demo;
mod messages;
mod script;
mod server;
mod strict_messages;
mod validate;

pub use cassette::{Cassette, CassetteServer, Exchange, redact};
pub use demo::DEMO_MODEL;
pub use script::{Fault, Part, Quirk, Reply, Rule, Script, ScriptedCall, When};
pub use server::{MockServer, RecordedRequest};
