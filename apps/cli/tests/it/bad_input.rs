//! Every kind of bad input gets one clear message, a stable exit code, and costs no memory.

use std::io::{Read, Write};
use std::net::TcpListener;

use crate::harness::Sandbox;

const NOTE: &str = "The boat needs new rope before the regatta in August.";

/// A sandbox with something in its memory.
fn with_memory() -> Sandbox {
    let sandbox = Sandbox::new();
    let file = sandbox.file("boat.txt", NOTE);
    sandbox.run(&["memory", "add", file.to_str().unwrap()]).ok();
    sandbox
}

#[track_caller]
fn assert_memory_is_there(sandbox: &Sandbox) {
    let found = sandbox.run(&["memory", "search", "rope", "--json"]).ok();
    assert!(found.contains("new rope before the regatta"), "{found}");
}

#[test]
fn an_unknown_command_or_flag() {
    let sandbox = Sandbox::new();
    sandbox.run(&["dance"]).fails(2, &["dance", "--help"]);
    sandbox
        .run(&["ask", "--loudly", "hello"])
        .fails(2, &["--loudly", "--help"]);
    sandbox
        .run(&["skills", "call", "notes", "find", "not json"])
        .fails(2, &["arguments", "JSON"]);
}

#[test]
fn a_question_that_is_missing() {
    crate::harness::end(&mut Sandbox::new().command(&["ask"]), "").fails(2, &["no question", "pipe it in"]);
}

#[test]
fn an_unreadable_manifest() {
    let sandbox = with_memory();
    let skills = sandbox.skill("good", "globalThis.__skill = { default: { tools: [] } };");
    sandbox.file("skills/bad/manifest.json", "{ \"id\": \"bad\", ");
    let ended = sandbox.run(&["skills", "list", "--skills-dir", skills.to_str().unwrap()]);
    ended.fails(1, &["bad", "manifest.json"]);
    assert!(
        ended.stdout.contains("good"),
        "one bad package must not hide the others: {}",
        ended.stdout
    );
    assert_memory_is_there(&sandbox);
}

#[test]
fn a_skills_directory_that_is_not_there() {
    let sandbox = Sandbox::new();
    sandbox
        .run(&["skills", "list", "--skills-dir", "no/such/dir"])
        .fails(3, &["no/such/dir", "--skills-dir"]);
}

#[test]
fn a_wrong_password() {
    let sandbox = with_memory();
    let ended = sandbox.run_with("not the password", &["memory", "list"]);
    ended.fails(4, &["password"]);
    let as_json = sandbox.run_with("not the password", &["memory", "list", "--json"]);
    as_json.fails(4, &["\"code\":\"locked\""]);
    assert_eq!(as_json.stdout, "");
    assert_memory_is_there(&sandbox);
}

#[test]
fn a_locked_vault_and_nobody_to_ask() {
    let sandbox = with_memory();
    let ended = crate::harness::end(&mut sandbox.command(&["memory", "list"]), "");
    ended.fails(4, &["locked", "--password-fd", "vault remember"]);
}

#[test]
fn a_password_that_is_too_short() {
    let sandbox = Sandbox::new();
    sandbox
        .run_with("short", &["vault", "create"])
        .fails(2, &["at least 8", "nothing was created"]);
    assert!(!sandbox.home().join("vault/vault.ohv").exists());
}

#[test]
fn a_busy_port() {
    let mut sandbox = Sandbox::new();
    sandbox.env("OPENAI_BASE_URL", "http://127.0.0.1:9/v1");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    sandbox
        .run(&["backend", "run", "--listen", &address])
        .fails(6, &[&address, "in use"]);
}

#[test]
fn a_backend_without_a_model() {
    Sandbox::new()
        .run(&["backend", "run", "--listen", "127.0.0.1:0"])
        .fails(2, &["OPENAI_BASE_URL"]);
}

#[test]
fn a_skill_that_throws() {
    let sandbox = with_memory();
    let code = "globalThis.__skill = { default: { tools: [{ name: 'fail', description: 'Fails.', \
                input_schema: { type: 'object' }, execute() { throw new Error('the tide is out'); } }] } };";
    let skills = sandbox.skill("moody", code);
    let ended = sandbox.run(&[
        "skills",
        "call",
        "--skills-dir",
        skills.to_str().unwrap(),
        "moody",
        "fail",
    ]);
    ended.fails(1, &["moody", "fail", "the tide is out"]);
    assert_memory_is_there(&sandbox);
}

#[test]
fn a_skill_that_cannot_start() {
    let sandbox = with_memory();
    let skills = sandbox.skill("broken", "this is not JavaScript");
    let ended = sandbox.run(&["skills", "list", "--skills-dir", skills.to_str().unwrap()]);
    ended.fails(1, &[]);
    // It is listed with its error, once.
    assert!(
        ended.stdout.contains("broken") && ended.stdout.contains("expecting"),
        "{}",
        ended.stdout
    );
    assert_eq!(
        ended.stdout.matches("did not start").count() + ended.stderr.matches("did not start").count(),
        1
    );
    assert_memory_is_there(&sandbox);
}

#[test]
fn a_tool_or_a_skill_that_does_not_exist() {
    let sandbox = Sandbox::new();
    let code = "globalThis.__skill = { default: { tools: [{ name: 'add', description: 'Adds.', \
                input_schema: { type: 'object' }, execute: () => '' }] } };";
    let skills = sandbox.skill("sums", code);
    let dir = skills.to_str().unwrap();
    sandbox
        .run(&["skills", "call", "--skills-dir", dir, "sums", "divide"])
        .fails(3, &["sums", "divide", "it has: add"]);
    sandbox
        .run(&["skills", "call", "--skills-dir", dir, "sines", "add"])
        .fails(3, &["sines", "there is: sums"]);
}

#[test]
fn a_folder_that_is_not_there_or_has_no_text() {
    let sandbox = with_memory();
    sandbox
        .run(&["memory", "add", "no/such/folder"])
        .fails(3, &["no/such/folder"]);
    std::fs::create_dir(sandbox.path().join("empty")).unwrap();
    let empty = sandbox.path().join("empty");
    sandbox
        .run(&["memory", "add", empty.to_str().unwrap()])
        .fails(3, &[".md"]);
    assert_memory_is_there(&sandbox);
}

#[test]
fn a_model_that_answers_garbage() {
    let mut sandbox = with_memory();
    let address = serve_garbage();
    let base_url = format!("http://{address}/v1");
    sandbox.env("OPENAI_BASE_URL", &base_url);
    let ended = sandbox.run(&["ask", "What does the boat need?"]);
    ended.fails(1, &[&base_url]);
    assert_memory_is_there(&sandbox);
}

#[test]
fn a_model_that_is_not_there() {
    let mut sandbox = with_memory();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let base_url = format!("http://{closed}/v1");
    sandbox.env("OPENAI_BASE_URL", &base_url);
    sandbox
        .run(&["ask", "What does the boat need?"])
        .fails(1, &[&base_url]);
    assert_memory_is_there(&sandbox);
}

#[test]
fn a_home_that_another_process_holds() {
    let sandbox = with_memory();
    let lock = std::fs::File::options()
        .write(true)
        .open(sandbox.home().join("core.lock"))
        .unwrap();
    lock.lock().unwrap();
    sandbox.run(&["memory", "list"]).fails(6, &["in use", "--home"]);
    drop(lock);
    assert_memory_is_there(&sandbox);
}

#[cfg(unix)]
#[test]
fn a_backend_that_is_not_there_or_hangs_up_in_the_middle_of_a_call() {
    let sandbox = with_memory();
    let absent = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    ask_backend(&sandbox, &format!("http://{absent}"), "oht1_none")
        .fails(6, &[&absent.to_string(), "check the address"]);

    let backend = Backend::that_hangs_up(&sandbox);
    let ended = ask_backend(&sandbox, &backend.url, &backend.token);
    ended.fails(6, &[&backend.url, "hung up", "ask again"]);
    assert_memory_is_there(&sandbox);
}

/// Asks through a backend; the password and the login token come from files.
#[cfg(unix)]
fn ask_backend(sandbox: &Sandbox, url: &str, token: &str) -> crate::harness::Ended {
    let code = "globalThis.__skill = { default: { tools: [{ name: 'signal', description: 'Tells the test.', \
                input_schema: { type: 'object' }, execute() { db.exec('create table if not exists t (x)'); return 'done'; } }] } };";
    let skills = sandbox.skill("flag", code);
    let password = sandbox.file("password", crate::harness::PASSWORD);
    let login = sandbox.file("login", token);
    let inner = sandbox.command(&[]);
    let mut command = std::process::Command::new("sh");
    command
        .arg("-c")
        .arg("exec \"$0\" \"$@\" --password-fd 3 --login-token-fd 4 3<\"$PASSWORD_FILE\" 4<\"$LOGIN_FILE\"")
        .arg(crate::harness::program())
        .args([
            "ask",
            "--skills-dir",
            skills.to_str().unwrap(),
            "--backend",
            url,
            "What does the boat need?",
        ])
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PASSWORD_FILE", password)
        .env("LOGIN_FILE", login);
    crate::harness::end(&mut command, "")
}

/// A backend process whose model asks for a tool; it is killed as soon as the model is asked.
#[cfg(unix)]
struct Backend {
    url: String,
    token: String,
    killer: Option<std::thread::JoinHandle<()>>,
}

#[cfg(unix)]
impl Backend {
    fn that_hangs_up(sandbox: &Sandbox) -> Self {
        use std::io::{BufRead, BufReader};
        use std::process::Stdio;

        let model = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = model.local_addr().unwrap();
        let mut child = sandbox
            .command(&["backend", "run", "--json", "--listen", "127.0.0.1:0"])
            .env("OPENAI_BASE_URL", format!("http://{address}/v1"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let announced: serde_json::Value = serde_json::from_str(&line).unwrap();
        // The turn is under way once the model is asked: kill the backend then, without any good-bye.
        let killer = std::thread::spawn(move || {
            let (_asked, _) = model.accept().unwrap();
            let _ = child.kill();
            let _ = child.wait();
        });
        Self {
            url: announced["url"].as_str().unwrap().to_owned(),
            token: announced["login_token"].as_str().unwrap().to_owned(),
            killer: Some(killer),
        }
    }
}

#[cfg(unix)]
impl Drop for Backend {
    fn drop(&mut self) {
        if let Some(killer) = self.killer.take()
            && !std::thread::panicking()
        {
            killer.join().unwrap();
        }
    }
}

/// An HTTP server that answers everything with something that is not a model's answer.
fn serve_garbage() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 8192];
            let _ = stream.read(&mut request);
            let body = "<html>\u{fffd} this is no model \u{0}</html>";
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
        }
    });
    address
}
