//! WebSockets against a real server on loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use openhuman_skills::{EgressOutcome, Engine, Grant, LedgerQuery, MemorySecrets, SkillId, SkillPackage};
use serde_json::json;
use tokio::net::TcpListener;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::network::Always;
use crate::support::{call, call_for, tool, until};

/// How many connections the server has open.
#[derive(Clone, Default)]
struct Open(Arc<AtomicUsize>);

impl Open {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A server that answers each message; some words make it do other things.
async fn serve() -> (SocketAddr, Open) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let open = Open::default();
    let count = open.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let count = count.clone();
            tokio::spawn(async move {
                count.0.fetch_add(1, Ordering::SeqCst);
                talk(stream).await;
                count.0.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
    (address, open)
}

async fn talk(stream: tokio::net::TcpStream) {
    let mut path = String::new();
    #[expect(clippy::result_large_err, reason = "the type of the callback")]
    let greet = |request: &Request, mut response: Response| {
        path = request.uri().to_string();
        if request
            .headers()
            .get("sec-websocket-protocol")
            .is_some_and(|offered| offered == "one, two")
        {
            response
                .headers_mut()
                .insert("sec-websocket-protocol", "two".parse().unwrap());
        }
        Ok(response)
    };
    let Ok(mut socket) = accept_hdr_async(stream, greet).await else {
        return;
    };
    if path.starts_with("/flood") {
        // Far more than the other side may hold.
        for _ in 0..200 {
            if socket.send(Message::binary(vec![7; 900_000])).await.is_err() {
                return;
            }
        }
        return;
    }
    while let Some(Ok(message)) = socket.next().await {
        let answer = match message {
            Message::Text(text) if text.as_str() == "path" => Message::text(path.clone()),
            Message::Text(text) if text.as_str() == "huge" => Message::text("x".repeat(2 * 1024 * 1024)),
            Message::Text(text) if text.as_str() == "bye" => Message::Close(Some(CloseFrame {
                code: 4001.into(),
                reason: "enough".into(),
            })),
            Message::Text(text) if text.as_str() == "drop" => return,
            Message::Text(text) => Message::text(format!("echo {text}")),
            Message::Binary(bytes) => Message::binary(bytes.iter().rev().copied().collect::<Vec<_>>()),
            _ => continue,
        };
        if socket.send(answer).await.is_err() {
            return;
        }
    }
}

const ASKING: &str = r#"{"websocket":[{"host":"live.example.com"}]}"#;

async fn install(engine: &Engine, id: &str, code: &str, grant: Grant) -> SkillId {
    let permissions: serde_json::Value = serde_json::from_str(ASKING).unwrap();
    let manifest = json!({"id": id, "name": id, "permissions": permissions}).to_string();
    let package = SkillPackage::from_parts(&manifest, tool(code)).unwrap();
    let id = engine.install(package, grant).await.unwrap();
    engine.start(&id).await.unwrap();
    id
}

fn local(address: SocketAddr) -> Grant {
    let mut grant = Grant::none();
    grant.allow_private("127.0.0.1", address.port());
    grant
}

/// A tool that runs an async function with a socket's events in `log`.
const SCRIPT: &str = "
    const log = globalThis.log_ = [];
    const watch = (socket) => {
        globalThis.sockets = (globalThis.sockets ?? []).concat(socket);
        socket.onopen = () => log.push('open');
        socket.onerror = (e) => log.push('error ' + e.message);
        socket.onclose = (e) => log.push(`close ${e.code} ${e.reason} ${e.wasClean}`);
        return socket;
    };
    const event = (socket, name) => new Promise((resolve) => socket.addEventListener(name, resolve, { once: true }));
    const heard = async (socket) => (await event(socket, 'message')).data;
    const AsyncFunction = (async () => {}).constructor;
    return new AsyncFunction('log', 'watch', 'event', 'heard', 'url', args.code)(log, watch, event, heard, args.url);
";

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_both_ways_as_the_standard_says() {
    let (address, open) = serve().await;
    let engine = Engine::builder().workers(2).build().unwrap();
    let id = install(&engine, "talk", SCRIPT, local(address)).await;
    let url = format!("ws://{address}/chat?q=1#part");
    let run = async |code: &str| {
        call(&engine, &id, json!({"code": code, "url": url}))
            .await
            .unwrap()
    };
    let whole = "
        const s = watch(new WebSocket(url, ['one', 'two']));
        const before = [s.readyState, s.url.endsWith('/chat?q=1'), s.protocol, s.bufferedAmount, s.binaryType];
        try { s.send('early'); } catch (e) { before.push(e.name); }
        await event(s, 'open');
        const out = [s.readyState, s.protocol, s.extensions];
        s.send('hé 😀'); out.push(await heard(s));
        s.send('path'); out.push(await heard(s));
        s.binaryType = 'arraybuffer';
        s.send(new Uint8Array([1, 2, 3])); out.push(Array.from(new Uint8Array(await heard(s))));
        s.send(new Uint8Array([9, 8, 7, 6]).subarray(1, 3)); out.push(Array.from(new Uint8Array(await heard(s))));
        s.close(3001, 'done');
        out.push(s.readyState);
        await event(s, 'close');
        s.send('late');
        out.push(s.readyState, s.bufferedAmount);
        return JSON.stringify([before, out, log]);";
    assert_eq!(
        run(whole).await,
        r#"[[0,true,"",0,"blob","InvalidStateError"],[1,"two","","echo hé 😀","/chat?q=1",[3,2,1],[7,8],2,3,4],["open","close 3001 done true"]]"#
    );
    let other = "
        const s = watch(new WebSocket(url));
        await event(s, 'open');
        s.send(args_);
        await event(s, 'close');
        return JSON.stringify(log);";
    assert_eq!(
        run(&other.replace("args_", "'bye'")).await,
        r#"["open","close 4001 enough true"]"#
    );
    let lost = run(&other.replace("args_", "'drop'")).await;
    assert!(
        lost.contains("error ") && lost.contains("close 1006  false"),
        "{lost}"
    );
    let huge = run(&other.replace("args_", "'huge'")).await;
    assert!(
        huge.contains("close 1009") && huge.contains("more than 1048576 bytes"),
        "{huge}"
    );
    for (code, name) in [
        ("new WebSocket('ftp://x/')", "SyntaxError"),
        ("new WebSocket('not a url')", "SyntaxError"),
        ("new WebSocket(url, ['a', 'a'])", "SyntaxError"),
        ("new WebSocket(url, 'a b')", "SyntaxError"),
        ("new WebSocket()", "TypeError"),
        ("new WebSocket(url).close(1001)", "InvalidAccessError"),
        ("new WebSocket(url).close(3000, 'x'.repeat(124))", "SyntaxError"),
        (
            "const s = new WebSocket(url); await event(s, 'open'); s.send('x'.repeat(1048577))",
            "TypeError",
        ),
    ] {
        let text = run(&format!(
            "try {{ {code}; return 'none'; }} catch (e) {{ return e.name; }}"
        ))
        .await;
        assert_eq!(text, name, "{code}");
    }
    let constants = "return JSON.stringify([WebSocket.OPEN, WebSocket.prototype.CLOSED, Object.prototype.toString.call(new WebSocket(url))])";
    assert_eq!(run(constants).await, r#"[1,3,"[object WebSocket]"]"#);
    engine.stop(&id).await.unwrap();
    until(|| open.count() == 0).await;
    let records = engine.ledger(&LedgerQuery::new().skill(&id));
    let first = &records[0];
    assert_eq!((first.scheme.as_str(), first.path.as_str()), ("ws", "/chat"));
    assert_eq!(first.outcome, EgressOutcome::Answered { status: 101 });
    let ends = || {
        let closed = |record: &&std::sync::Arc<openhuman_skills::EgressRecord>| {
            matches!(record.outcome, EgressOutcome::Closed { .. })
        };
        records.iter().filter(closed)
    };
    let opened = records
        .iter()
        .filter(|record| record.outcome == EgressOutcome::Answered { status: 101 });
    assert_eq!(ends().count(), opened.count(), "each connection has its end");
    let talked = ends().find(|record| record.path == "/chat").unwrap();
    assert!(talked.bytes_out > 10 && talked.bytes_in > 10, "{talked:?}");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_granted_is_not_connected() {
    let (address, open) = serve().await;
    let engine = Engine::builder()
        .workers(1)
        .resolver(Arc::new(Always(IpAddr::V4(Ipv4Addr::LOCALHOST))))
        .build()
        .unwrap();
    let mut grant = Grant::none();
    grant.allow_websocket("live.example.com").allow_host("*");
    let id = install(&engine, "inside", SCRIPT, grant).await;
    let port = address.port();
    for url in [
        format!("ws://127.0.0.1:{port}/"),
        format!("ws://localhost:{port}/"),
        format!("ws://live.example.com:{port}/"),
        "wss://live.example.com/".to_owned(),
        "wss://api.example.com/".to_owned(),
        "wss://[::1]/".to_owned(),
    ] {
        let code =
            "const s = watch(new WebSocket(url)); await event(s, 'close'); return JSON.stringify(log);";
        let text = call(&engine, &id, json!({"code": code, "url": url}))
            .await
            .unwrap();
        assert!(
            text.contains("error WebSocket:") && text.contains("close 1006"),
            "{url}: {text}"
        );
    }
    assert_eq!(open.count(), 0);
    assert_eq!(engine.ledger(&LedgerQuery::new().refused()).len(), 6);
    // A skill that does not ask has no such class.
    let none = crate::support::run(
        &engine,
        "plain",
        &tool("return typeof WebSocket + typeof CloseEvent;"),
    )
    .await;
    assert_eq!(
        call(&engine, &none, json!({})).await.as_deref(),
        Ok("undefinedundefined")
    );
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_and_end_with_the_skill_or_its_grant() {
    let (address, open) = serve().await;
    let engine = Engine::builder().workers(1).build().unwrap();
    let id = install(&engine, "many", SCRIPT, local(address)).await;
    let url = format!("ws://{address}/");
    let code = "
        const all = Array.from({ length: 12 }, () => watch(new WebSocket(url)));
        await Promise.all(all.map((s) => Promise.race([event(s, 'open'), event(s, 'close')])));
        return JSON.stringify([all.filter((s) => s.readyState === 1).length, log.filter((l) => l.includes('more than 8 WebSocket')).length]);";
    assert_eq!(
        call(&engine, &id, json!({"code": code, "url": url}))
            .await
            .as_deref(),
        Ok("[8,4]")
    );
    until(|| open.count() == 8).await;
    engine.set_grant(&id, Grant::none()).unwrap();
    until(|| open.count() == 0).await;
    engine.set_grant(&id, local(address)).unwrap();
    assert_eq!(
        call(&engine, &id, json!({"code": code, "url": url}))
            .await
            .as_deref(),
        Ok("[8,4]")
    );
    engine.stop(&id).await.unwrap();
    until(|| open.count() == 0).await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_waits_for_the_skill() {
    let (address, open) = serve().await;
    let engine = Engine::builder().workers(1).build().unwrap();
    let id = install(&engine, "flood", SCRIPT, local(address)).await;
    let url = format!("ws://{address}/flood");
    // The skill is busy for a while; what came meanwhile is bounded, and nothing is lost.
    let code = "
        const s = watch(new WebSocket(url)); s.binaryType = 'arraybuffer';
        let total = 0;
        s.onmessage = (e) => { total += e.data.byteLength; };
        await event(s, 'open');
        sleep(300);
        await event(s, 'close');
        return String(total);";
    let total = call_for(
        &engine,
        &id,
        json!({"code": code, "url": url}),
        Duration::from_secs(60),
    )
    .await;
    assert_eq!(total.as_deref(), Ok("180000000"));
    until(|| open.count() == 0).await;
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_in_messages_follow_the_same_rules() {
    let (address, _open) = serve().await;
    let skill = SkillId::new("sealed").unwrap();
    let secrets = MemorySecrets::default().with(&skill, "key", &address.to_string(), "s3cr3t/value");
    let engine = Engine::builder()
        .workers(1)
        .secrets(Arc::new(secrets))
        .build()
        .unwrap();
    let id = install(&engine, "sealed", SCRIPT, local(address)).await;
    let url = format!("ws://{address}/?token={{{{secret:key}}}}");
    let code = "
        const s = watch(new WebSocket(url));
        await event(s, 'open');
        const out = [];
        s.send('path'); out.push(await heard(s));
        s.send('auth {{secret:key}}'); out.push(await heard(s));
        try { s.send('{{secret:none}}'); } catch (e) { out.push(e.message); }
        return JSON.stringify(out);";
    let text = call(&engine, &id, json!({"code": code, "url": url}))
        .await
        .unwrap();
    assert!(!text.contains("s3cr3t"), "{text}");
    assert!(
        text.contains("token={{secret:key}}") && text.contains("echo auth {{secret:key}}"),
        "{text}"
    );
    assert!(text.contains("the secret `none` may not be sent"), "{text}");
    // The ledger has the connection while it is open, the secrets that went over it, and what was refused.
    until(|| !engine.ledger(&LedgerQuery::new().refused()).is_empty()).await;
    let records = engine.ledger(&LedgerQuery::new());
    assert_eq!(records[0].outcome, EgressOutcome::Answered { status: 101 });
    assert!(
        records.iter().all(|record| record.secrets == ["key"]),
        "{records:?}"
    );
    engine.shutdown().await;
}
