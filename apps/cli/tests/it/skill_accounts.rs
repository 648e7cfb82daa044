//! A skill is set up, connected, adjusted and watched from the command line; what it was told stays sealed.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;

use serde_json::{Value, json};

use crate::harness::Sandbox;

const MANIFEST: &str = r#"{ "id": "mill", "name": "The mill", "permissions": { "data": { "max_mb": 1 } },
    "setup": { "required": true, "auth": { "modes": [{ "type": "self_hosted", "apiBaseUrl": "http://127.0.0.1:PORT", "fields": [
        { "name": "key", "type": "password", "label": "Key", "required": true }] }, { "type": "text" }] } } }"#;

const CODE: &str = r#"globalThis.__skill = { default: {
    init() { cron.register('grind', '0 0 * * * *'); },
    onSetupStart: () => ({ step: { id: 'place', title: 'Where', fields: [
        { name: 'url', label: 'Address', type: 'text', required: true }, { name: 'every', type: 'select', default: '10', options: ['5', '10'] }] } }),
    onSetupSubmit({ stepId, values }) {
        if (stepId === 'place') {
            if (!values.url.startsWith('http')) return { status: 'error', errors: [{ field: 'url', message: 'not an address' }] };
            state.set('config', values);
            return { status: 'next', nextStep: { id: 'done', title: 'Sure?', fields: [{ name: 'sure', type: 'boolean', default: true }] } };
        }
        data.write('config.txt', 'the miller keeps the wheel oiled');
        return { status: 'complete', message: 'The mill turns.' };
    },
    onListOptions: () => ({ options: [{ name: 'every', type: 'select', label: 'How often', value: state.get('config')?.every ?? '10', options: ['5', '10'] }] }),
    onSetOption({ name, value }) { state.set('config', { ...state.get('config'), [name]: value }); },
    start({ auth, validate }) {
        if (validate && auth.credentials.key === 'plain') return { status: 'error', errors: [{ field: 'key', message: 'seen in the clear' }] };
        return { status: 'complete', message: 'Connected.' };
    },
    tools: [
        { name: 'visit', description: 'd', execute: () => net.fetch(state.get('config').url, { headers: { 'x-key': auth.getCredential().credentials.key } }).body },
        { name: 'away', description: 'd', execute: () => { try { net.fetch('https://elsewhere.example.com/'); } catch (e) { return e.message; } } },
        { name: 'read', description: 'd', execute: () => data.read('config.txt') },
        { name: 'mode', description: 'd', execute: () => auth.getMode() ?? 'none' },
    ] } };"#;

/// Answers one request with its `x-key` header.
fn echo_once() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut chunk = [0; 1024];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let read = stream.read(&mut chunk).unwrap();
            request.extend_from_slice(&chunk[..read]);
        }
        let request = String::from_utf8(request).unwrap();
        let got = request.lines().any(|line| line == "x-key: the-millers-key-4711");
        let body = if got { "the key came" } else { "no key" };
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
    });
    port
}

fn holds(dir: &Path, needle: &str) -> bool {
    fs::read_dir(dir).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return holds(&path, needle);
        }
        let bytes = fs::read(&path).unwrap_or_default();
        bytes
            .windows(needle.len())
            .any(|window| window == needle.as_bytes())
    })
}

#[test]
fn a_skill_is_set_up_connected_and_watched() {
    let sandbox = Sandbox::new();
    // A credential goes to the host of its API only.
    let port = echo_once();
    sandbox.file(
        "skills/mill/manifest.json",
        &MANIFEST.replace("PORT", &port.to_string()),
    );
    sandbox.file("skills/mill/index.js", CODE);
    let dir = sandbox.path().join("skills");
    let dir = dir.to_str().unwrap();
    let run = |args: &[&str]| {
        let mut all = vec!["skills"];
        all.extend(args);
        all.extend(["--skills-dir", dir]);
        sandbox.run(&all)
    };

    run(&["setup", "mill"]).fails(5, &["--values"]);
    run(&["setup", "mill", "--values", "{}"]).fails(2, &["url", "required"]);
    run(&["setup", "mill", "--values", r#"{"url":"nowhere"}"#]).fails(1, &["url: not an address"]);
    let url = format!("http://127.0.0.1:{port}/");
    let values = json!({ "url": url }).to_string();
    assert!(
        run(&["setup", "mill", "--values", &values])
            .ok()
            .contains("The mill turns.")
    );

    let options: Value = serde_json::from_str(&run(&["options", "mill", "--json"]).ok()).unwrap();
    assert_eq!(options["options"][0]["value"], "10");
    run(&["options", "mill", "every", "7"]).fails(2, &["every", "choices"]);
    run(&["options", "mill", "never", "7"]).fails(3, &["never", "every"]);
    run(&["options", "mill", "every", "5"]).ok();
    assert!(run(&["options", "mill"]).ok().contains("every = 5"));

    run(&["connect", "mill", "--values", "{}"]).fails(2, &["self_hosted, text"]);
    run(&["connect", "mill", "--mode", "managed", "--values", "{}"]).fails(3, &["self_hosted"]);
    let values = r#"{"key":"the-millers-key-4711"}"#;
    assert!(
        run(&["connect", "mill", "--mode", "self_hosted", "--values", values])
            .ok()
            .contains("Connected.")
    );

    let private = format!("127.0.0.1:{port}");
    run(&["allow", "mill", "--private", &private, "--yes"]).ok();
    assert_eq!(run(&["call", "mill", "visit"]).ok().trim(), "the key came");
    assert!(
        run(&["call", "mill", "away"])
            .ok()
            .contains("elsewhere.example.com")
    );
    assert_eq!(
        run(&["call", "mill", "read"]).ok().trim(),
        "the miller keeps the wheel oiled"
    );

    let log: Value = serde_json::from_str(&run(&["egress", "mill", "--json"]).ok()).unwrap();
    let records = log["egress"].as_array().unwrap();
    assert_eq!(records.len(), 2, "{log}");
    assert_eq!(
        (&records[0]["outcome"]["type"], &records[0]["host"]),
        (&"refused".into(), &"elsewhere.example.com".into())
    );
    assert_eq!(
        (&records[1]["outcome"]["status"], &records[1]["port"]),
        (&200.into(), &port.into())
    );
    assert_eq!(records[1]["cause"]["name"], "visit");
    assert!(run(&["egress", "--refused"]).ok().contains("refused"));

    assert!(run(&["schedules", "mill"]).ok().contains("grind"));
    run(&["schedules", "mill", "--run", "weave"]).fails(3, &["weave"]);

    assert_eq!(run(&["call", "mill", "mode"]).ok().trim(), "self_hosted");
    run(&["disconnect", "mill"]).ok();
    assert_eq!(run(&["call", "mill", "mode"]).ok().trim(), "none");

    run(&["disable", "mill"]).ok();
    assert!(run(&["list"]).ok().contains("disabled"));
    assert_eq!(
        run(&["call", "mill", "mode"]).ok().trim(),
        "none",
        "a call starts it all the same"
    );
    run(&["enable", "mill"]).ok();

    for secret in [
        "the-millers-key-4711",
        "the miller keeps the wheel oiled",
        "elsewhere.example.com",
    ] {
        assert!(
            !holds(&sandbox.home(), secret),
            "{secret} is readable in the home"
        );
    }
}
