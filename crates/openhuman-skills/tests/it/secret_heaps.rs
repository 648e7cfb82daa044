//! No token in any skill's memory, whatever the skill and the server do with it.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use openhuman_skills::{
    Engine, Grant, MemorySecrets, MemoryTransport, SkillId, TransportError, TransportRequest,
    TransportResponse,
};
use serde_json::json;

use crate::network::Always;
use crate::support::{call, run, run_with, tool};

/// Not as one piece in this binary's memory either, so that only the use of it can leave copies.
const TOKEN: [&str; 3] = ["tok", "3nQ7-zebra/Violin", "+0452="];

/// A server that gives everything back in every form it knows.
fn echo(seen: &Mutex<Vec<String>>, request: &TransportRequest) -> Result<TransportResponse, TransportError> {
    let token = TOKEN.concat();
    let headers = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())));
    let all = format!(
        "{} {}\n{}\n\n{}",
        request.method,
        request.target,
        headers.collect::<Vec<_>>().join("\n"),
        String::from_utf8_lossy(&request.body)
    );
    seen.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(all.clone());
    if request.target.starts_with("/fails") {
        return Err(TransportError::Connect {
            authority: format!("api.example.com with {token}"),
            source: io::Error::other(format!("refused {all}")),
        });
    }
    let escaped: String = token.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let body = if request.target.starts_with("/json") {
        json!({ "echo": all, "token": token, "list": [token, { "deep": token }] }).to_string()
    } else {
        format!(
            "{all}\n{token}\nBearer {token}\n{}\n{escaped}\n",
            STANDARD.encode(&token)
        )
    };
    Ok(TransportResponse::new(StatusCode::OK)
        .header("x-echo", &token)
        .header("set-cookie", &format!("session={token}"))
        .body(body))
}

const ATTEMPTS: &str = r#"
    const out = [];
    const keep = (value) => { out.push(typeof value === 'string' ? value : JSON.stringify(value)); globalThis.kept = out; };
    const attempt = (url, options) => {
        try { keep(net.fetch(url, options)); } catch (e) { keep(String(e.message) + String(e.stack)); }
    };
    const secret = '{{secret:token}}', base = 'https://api.example.com';
    for (let round = 0; round < 5; round++) {
        attempt(base + '/text', { headers: { Authorization: 'Bearer ' + secret } });
        attempt(base + '/json', { headers: { 'X-Key': secret } });
        attempt(base + '/text?key=' + secret);
        attempt(base + '/text', { method: 'POST', body: JSON.stringify({ key: secret, again: secret }) });
        attempt(base + '/json', { method: 'POST', body: secret.repeat(100) });
        attempt(base + '/fails?key=' + secret, { headers: { Authorization: secret } });
        attempt('https://other.example.com/text', { headers: { Authorization: secret } });
        attempt(base + '/text', { headers: { Authorization: 'Basic ' + btoa(secret) } });
        attempt('not a url ' + secret);
    }
    const settle = async () => {
        for (const path of ['/text', '/json', '/fails']) {
            try {
                const response = await fetch(base + path, { method: 'POST', headers: { Authorization: secret }, body: secret });
                keep([...response.headers]); keep(await response.text());
            } catch (e) { keep(String(e) + String(e.cause) + String(e.stack)); }
        }
        state.set('kept', out.join('\n').slice(0, 1000)); console.log(out[0]);
        return String(out.length);
    };
    return settle();
"#;

#[tokio::test(flavor = "multi_thread")]
async fn no_heap_holds_a_token_after_calls_that_used_it() {
    let token = TOKEN.concat();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    let user = SkillId::new("user").unwrap();
    let engine = Engine::builder()
        .workers(2)
        .resolver(Arc::new(Always(std::net::IpAddr::from([1, 1, 1, 1]))))
        .transport(Arc::new(MemoryTransport::new(move |request| {
            echo(&requests, request)
        })))
        .secrets(Arc::new(MemorySecrets::default().with(
            &user,
            "token",
            "api.example.com",
            &token,
        )))
        .build()
        .unwrap();
    let mut grant = Grant::none();
    grant.allow_host(openhuman_skills::HostRule::new("api.example.com").secret("token"));
    grant.allow_host("other.example.com");
    let id = run_with(&engine, "user", &tool(ATTEMPTS), grant).await;
    let bystander = run(
        &engine,
        "bystander",
        &tool("globalThis.kept = args.text ?? null; return 'kept';"),
    )
    .await;
    assert_eq!(call(&engine, &id, json!({})).await.as_deref(), Ok("50"));
    {
        let seen = seen.lock().unwrap();
        let carried = seen.iter().filter(|request| request.contains(&token)).count();
        assert!(
            carried >= 28,
            "the token was sent {carried} times in {} requests",
            seen.len()
        );
    }
    for form in [
        token.clone(),
        STANDARD.encode(&token),
        token.to_uppercase(),
        TOKEN[1].to_owned(),
    ] {
        assert_eq!(engine.occurrences_in_heaps(form.as_bytes()).await, 0, "{form}");
    }
    // The scan can find things: what a skill was given is in its memory, and so is the handle.
    assert!(engine.occurrences_in_heaps(b"{{secret:token}}").await > 0);
    call(&engine, &bystander, json!({ "text": token })).await.unwrap();
    assert!(engine.occurrences_in_heaps(token.as_bytes()).await > 0);
    engine.shutdown().await;
}
