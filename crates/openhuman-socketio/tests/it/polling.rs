//! HTTP long-polling and the upgrade to a WebSocket.

use openhuman_socketio::{Binary, Client, ConnectError, DisconnectReason, State, Transports};
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::node::Node;
use crate::scripted::{quick, soon, state};

/// One HTTP request as the server sees it.
struct Request {
    line: String,
    headers: Vec<String>,
    body: String,
    stream: BufReader<TcpStream>,
}

impl Request {
    async fn read(mut stream: BufReader<TcpStream>) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).await.ok()? == 0 {
                return None;
            }
            if line == "\r\n" {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let length = lines
            .iter()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await.ok()?;
        let line = lines.remove(0);
        Some(Self {
            line,
            headers: lines,
            body: String::from_utf8(body).unwrap(),
            stream,
        })
    }

    /// Answers and gives the stream back for the next request.
    async fn answer(mut self, status: &str, extra: &str, body: &str) -> BufReader<TcpStream> {
        let answer = format!(
            "HTTP/1.1 {status}\r\n{extra}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.stream.write_all(answer.as_bytes()).await.unwrap();
        self.stream
    }

    fn is(&self, method: &str) -> bool {
        self.line
            .starts_with(&format!("{method} /socket.io/?EIO=4&transport=polling"))
    }
}

struct Http(TcpListener);

impl Http {
    async fn bind() -> (Self, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        (Self(listener), url)
    }

    async fn accept(&self) -> Request {
        let (stream, _) = soon(self.0.accept()).await.unwrap();
        soon(Request::read(BufReader::new(stream))).await.unwrap()
    }
}

const OPEN: &str =
    r#"0{"sid":"e","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}"#;

fn client(url: &str) -> openhuman_socketio::ClientBuilder {
    Client::builder(url)
        .transports(Transports::Polling)
        .reconnect(quick())
}

/// One GET and one POST at a time, the session's id and cookies on each, batches split at the separator.
#[tokio::test]
async fn requests_are_as_the_protocol_says() {
    let (http, url) = Http::bind().await;
    let connecting = tokio::spawn(
        client(&format!("{url}?user=1"))
            .headers([("X-Own", "mine")])
            .connect(),
    );
    let open = http.accept().await;
    assert!(
        open.is("GET") && open.line.contains("&user=1") && !open.line.contains("sid="),
        "{}",
        open.line
    );
    assert!(open.headers.iter().any(|header| header == "x-own: mine"));
    let get = open.answer("200 OK", "Set-Cookie: lb=7; Path=/\r\n", OPEN).await;

    // CONNECT is posted on a stream of its own, while the GET waits on the first.
    let post = http.accept().await;
    assert!(post.is("POST") && post.line.contains("&sid=e"), "{}", post.line);
    assert!(
        post.headers.iter().any(|header| header == "Cookie: lb=7"),
        "{:?}",
        post.headers
    );
    assert_eq!(post.body, "40");
    let get = soon(Request::read(get)).await.unwrap();
    assert!(get.is("GET") && get.line.contains("&sid=e"));
    let post = post.answer("200 OK", "", "ok").await;
    let batch = "40{\"sid\":\"s\"}\u{1e}42[\"a\",1]\u{1e}451-[\"b\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQIe\u{1e}2";
    let get = get.answer("200 OK", "", batch).await;
    let client = soon(connecting).await.unwrap().unwrap();

    let pong = soon(Request::read(post)).await.unwrap();
    assert!(pong.is("POST"));
    assert_eq!(pong.body, "3");
    let post = pong.answer("200 OK", "", "ok").await;
    let mut all = client.subscribe_all();
    let get = soon(Request::read(get)).await.unwrap();
    let get = get.answer("200 OK", "", "42[\"c\",3]").await;
    assert_eq!(soon(all.recv()).await.unwrap().data(), json!(3));

    client.emit("bin", &Binary::from(vec![1, 2, 0x1e])).await.unwrap();
    let sent = soon(Request::read(post)).await.unwrap();
    assert_eq!(
        sent.body,
        "451-[\"bin\",{\"_placeholder\":true,\"num\":0}]\u{1e}bAQIe"
    );
    let post = sent.answer("200 OK", "", "ok").await;

    // Good-bye, after which the waiting GET is not waited for.
    let leaving = tokio::spawn(async move { client.disconnect().await });
    let mut bodies = Vec::new();
    let mut post = post;
    while bodies
        .last()
        .is_none_or(|body: &String| !body.ends_with('1') || body == "41")
    {
        let request = soon(Request::read(post)).await.unwrap();
        bodies.push(request.body.clone());
        post = request.answer("200 OK", "", "ok").await;
    }
    assert_eq!(bodies.join("\u{1e}"), "41\u{1e}1");
    soon(leaving).await.unwrap();
    drop(get);
}

#[tokio::test]
async fn a_refused_session_is_told_and_an_unknown_one_is_a_lost_link() {
    let (http, url) = Http::bind().await;
    let (refused, ()) = tokio::join!(soon(client(&url).connect()), async {
        let body = r#"{"code":5,"message":"Unsupported protocol version"}"#;
        http.accept().await.answer("400 Bad Request", "", body).await;
    });
    assert!(matches!(refused, Err(ConnectError::Http { status: 400, body }) if body.contains("Unsupported")));

    let connecting = tokio::spawn(client(&url).connect());
    let get = http.accept().await.answer("200 OK", "", OPEN).await;
    let post = http.accept().await.answer("200 OK", "", "ok").await;
    let get = Request::read(get)
        .await
        .unwrap()
        .answer("200 OK", "", "40{\"sid\":\"s\"}")
        .await;
    let client = soon(connecting).await.unwrap().unwrap();
    let get = Request::read(get).await.unwrap();
    get.answer(
        "400 Bad Request",
        "",
        r#"{"code":1,"message":"Session ID unknown"}"#,
    )
    .await;
    state(&client, |state| !state.is_connected()).await;
    let lost = client.last_disconnect().unwrap();
    assert_eq!(lost.reason, DisconnectReason::TransportError);
    assert!(lost.to_string().contains("Session ID unknown"), "{lost}");
    drop(post);
}

/// The first GET is broken off and a body that is no payload is refused; the client comes back each time.
#[tokio::test]
async fn broken_answers_are_a_broken_link() {
    let (http, url) = Http::bind().await;
    let client = client(&url).start().unwrap();
    http.accept().await;
    http.accept().await.answer("200 OK", "", "b*").await;
    let get = http.accept().await.answer("200 OK", "", OPEN).await;
    let post = http.accept().await.answer("200 OK", "", "ok").await;
    Request::read(get)
        .await
        .unwrap()
        .answer("200 OK", "", "40{\"sid\":\"s\"}\u{1e}")
        .await;
    state(&client, |state| matches!(state, State::Reconnecting { .. })).await;
    drop(post);
    assert_eq!(
        client.last_disconnect().unwrap().reason,
        DisconnectReason::ParseError
    );
}

fn node_client(node: &Node, transports: Transports) -> openhuman_socketio::ClientBuilder {
    node.client()
        .transports(transports)
        .auth(json!({"token": "good"}))
}

#[tokio::test]
async fn node_is_served_by_long_polling_alone() {
    let Some(mut node) = Node::start_with(&json!({"transports": ["polling"]})).await else {
        return;
    };
    let client = soon(node_client(&node, Transports::Polling).connect())
        .await
        .unwrap();
    assert_eq!(node.report("connect").await["transport"], "polling");
    for n in 0..200 {
        client.emit("count", &n).await.unwrap();
    }
    for n in 0..200 {
        assert_eq!(node.report("count").await["n"], n);
    }
    let bytes = Binary::from((0..=255).collect::<Vec<u8>>());
    let reply = soon(client.emit_ack("echo-ack", &(&bytes, "x")).into_future())
        .await
        .unwrap();
    assert_eq!(reply.arg::<(Binary, String)>().unwrap(), (bytes, "x".to_owned()));
    // Long enough for several heartbeats.
    let lost = state(&client, |state| !state.is_connected());
    assert!(
        tokio::time::timeout(std::time::Duration::from_millis(3_000), lost)
            .await
            .is_err()
    );
    soon(client.disconnect()).await;
    assert_eq!(
        node.report("disconnect").await["reason"],
        "client namespace disconnect"
    );
    node.report("engine close").await;
}

#[tokio::test]
async fn node_upgrades_to_a_websocket_without_losing_or_reordering_anything() {
    let Some(mut node) = Node::start().await else {
        return;
    };
    for _ in 0..10 {
        let builder = node_client(&node, Transports::PollingThenWebSocket);
        let client = soon(builder.connect()).await.unwrap();
        assert_eq!(node.report("connect").await["transport"], "polling");
        let sender = client.clone();
        let sending = tokio::spawn(async move {
            for n in 0..500 {
                sender.emit("count", &n).await.unwrap();
                if n % 20 == 0 {
                    sender.flush().await.unwrap();
                }
            }
        });
        let mut counted = 0;
        let mut upgraded = false;
        while counted < 500 || !upgraded {
            let report = node.next_report().await;
            if report["did"] == "count" {
                assert_eq!(report["n"], counted);
                counted += 1;
            }
            upgraded |= report["did"] == "upgrade";
        }
        soon(sending).await.unwrap();
        assert_eq!(client.stats().upgrades, 1);
        let reply = soon(client.emit_ack("echo-ack", &1).into_future()).await.unwrap();
        assert_eq!(reply.value(), 1);
        soon(client.disconnect()).await;
        assert_eq!(node.report("engine close").await["transport"], "websocket");
    }
}

#[tokio::test]
async fn node_without_websockets_is_reached_all_the_same() {
    let Some(mut node) = Node::start_with(&json!({"transports": ["polling"]})).await else {
        return;
    };
    let refused = soon(node_client(&node, Transports::WebSocket).connect()).await;
    assert!(matches!(refused, Err(ConnectError::Http { .. })), "{refused:?}");
    let client = soon(node_client(&node, Transports::WebSocketOrPolling).connect())
        .await
        .unwrap();
    assert_eq!(node.report("connect").await["transport"], "polling");
    drop(client);
}
