//! Connections that are refused, silent or dropped.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use openhuman_agent::mock::{Fault, MockServer, Rule, Script};
use openhuman_agent::openai::OpenAiModel;
use openhuman_agent::{Model as _, ModelError, ModelEvent};
use tokio::net::TcpListener;

use crate::http::{ask, plain};
use crate::support::{config, open_ai};

#[tokio::test]
async fn nobody_listening_is_named_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    drop(listener);
    let error = ask(&open_ai(base_url.clone(), "m"), plain("x"))
        .await
        .unwrap_err();
    assert!(matches!(error, ModelError::Connect { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains(&base_url) && text.contains("server is running"),
        "{text}"
    );
}

#[tokio::test]
async fn a_failed_tls_handshake_is_a_connection_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("https://{}/v1", listener.local_addr().unwrap());
    let hang_up = tokio::spawn(async move { while listener.accept().await.is_ok() {} });
    match OpenAiModel::new(config(base_url, "m")) {
        // A machine without any certificates.
        Err(error) => assert!(error.to_string().contains("certificate store"), "{error}"),
        Ok(model) => {
            let error = ask(&model, plain("x")).await.unwrap_err();
            assert!(matches!(error, ModelError::Connect { .. }), "{error:?}");
        }
    }
    hang_up.abort();
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let mut config = config(base_url, "m");
    config.first_byte_timeout = Duration::from_millis(50);
    let error = ask(&OpenAiModel::new(config).unwrap(), plain("x"))
        .await
        .unwrap_err();
    assert!(
        error.is_timeout() && error.to_string().contains("waiting for the answer to begin"),
        "{error}"
    );
    drop(listener);
}

#[tokio::test]
async fn dropping_the_reply_closes_the_connection_and_the_server_stops() {
    let script = Script::new("m").rule(Rule::when_user_says(["x"]).answer("a b c d").fault(Fault::Stall));
    let server = MockServer::start(script).await;
    let model: Arc<OpenAiModel> = open_ai(server.base_url(), "m");
    let mut reply = model.stream(plain("x")).await.unwrap();
    assert!(matches!(
        reply.next().await,
        Some(Ok(ModelEvent::TextDelta { .. }))
    ));
    drop(reply);
    tokio::time::timeout(Duration::from_secs(5), server.shutdown())
        .await
        .expect("nothing keeps the server alive");
}
