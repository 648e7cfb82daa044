//! Logins at a backend that outlast the command, and what `doctor` says about all of it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use openhuman::vault::{Password, Vault, VaultOptions};
use serde_json::{Value, json};

use crate::harness::{Ended, PASSWORD, Sandbox, end};

/// A backend in a process of its own, with a scripted model in another.
struct Backend {
    children: [Child; 2],
    lines: BufReader<ChildStdout>,
    codes: ChildStdin,
    url: String,
    token: String,
}

impl Drop for Backend {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Backend {
    fn start(sandbox: &Sandbox) -> Self {
        let mut model = sandbox
            .command(&["dev", "llm"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(model.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        let base_url = as_json(&first)["base_url"].as_str().unwrap().to_owned();
        let mut backend = sandbox
            .command(&[
                "backend",
                "run",
                "--json",
                "--listen",
                "127.0.0.1:0",
                "--answer-codes",
            ])
            .env("OPENAI_BASE_URL", base_url)
            .env("OPENAI_MODEL", "scripted-demo")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(backend.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let told = as_json(&first);
        Self {
            codes: backend.stdin.take().unwrap(),
            children: [backend, model],
            lines,
            url: told["url"].as_str().unwrap().to_owned(),
            token: told["login_token"].as_str().unwrap().to_owned(),
        }
    }

    /// The link for the code of a device.
    fn link(&mut self, code: &str) -> String {
        writeln!(self.codes, "{code}").unwrap();
        let mut answer = String::new();
        self.lines.read_line(&mut answer).unwrap();
        as_json(&answer)["login_link"].as_str().unwrap().to_owned()
    }
}

fn as_json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus");
    let password = Password::from(PASSWORD.to_owned());
    Vault::create(
        &sandbox.home().join("vault"),
        &password,
        &VaultOptions::fast_for_tests(),
    )
    .unwrap();
    sandbox
}

fn with_token(sandbox: &Sandbox, token: &str, args: &[&str]) -> Ended {
    let args = [args, &["--password-fd", "0", "--login-token-fd", "0"]].concat();
    end(&mut sandbox.command(&args), &format!("{PASSWORD}\n{token}\n"))
}

fn findings<'a>(report: &'a Value, area: &str) -> Vec<&'a Value> {
    let all = report["findings"].as_array().unwrap().iter();
    all.filter(|finding| finding["area"] == area).collect()
}

#[test]
fn one_login_is_enough_until_the_logout() {
    let sandbox = sandbox();
    let backend = Backend::start(&sandbox);
    let url = backend.url.clone();
    let ask = ["ask", "--backend", &url, "What is ETH at?"];
    sandbox
        .run(&ask)
        .fails(4, &["nobody is logged in", "openhuman login"]);
    let told = with_token(&sandbox, &backend.token, &["login", &backend.url, "--json"]).ok();
    assert_eq!(
        as_json(&told),
        json!({ "logged_in": true, "backend": backend.url })
    );
    // The same token again is refused, and the session stays.
    with_token(&sandbox, &backend.token, &["login", &backend.url]).fails(4, &["refused the login"]);
    for _ in 0..2 {
        sandbox.run(&ask).ok();
    }

    let report = as_json(&sandbox.run(&["doctor", "--json"]).ok());
    assert_eq!(report["ok"], true, "{report:#}");
    let link = findings(&report, "backend");
    assert_eq!(link.len(), 1, "{report:#}");
    let text = link[0]["text"].as_str().unwrap();
    assert!(
        text.contains(&backend.url) && text.contains("connected in"),
        "{text}"
    );
    assert!(!report.to_string().contains(&backend.token));
    let offline = as_json(&sandbox.run(&["doctor", "--offline", "--json"]).ok());
    assert_eq!(findings(&offline, "backend")[0]["grade"], "note", "{offline:#}");

    // The log of the vault names each session that was used, and no token.
    let log = sandbox.run(&["vault", "log", "--json"]).ok();
    assert!(log.contains("backend-session/") && !log.contains("eyJ"), "{log}");

    drop(backend);
    let gone = sandbox.run(&["doctor", "--json"]);
    assert_eq!(gone.code, 1, "{}", gone.stdout);
    let report = as_json(&gone.stdout);
    assert_eq!(findings(&report, "backend")[0]["grade"], "bad", "{report:#}");
    let told = sandbox.run(&["logout", &url]).ok();
    assert!(told.contains("Logged out"), "{told}");
    let told = sandbox.run(&["logout", &url]).ok();
    assert!(told.contains("Nobody was logged in"), "{told}");
    sandbox.run(&ask).fails(4, &["nobody is logged in"]);
}

/// At a terminal, which `script` gives the command: the code is shown, and the link that answers it is typed.
#[cfg(target_os = "linux")]
#[test]
fn a_login_by_link_is_bound_to_the_code_that_was_shown() {
    use std::io::Read;
    use std::process::Command;

    if Command::new("script").arg("--version").output().is_err() {
        eprintln!("not run: there is no `script` here");
        return;
    }
    let sandbox = sandbox();
    let mut backend = Backend::start(&sandbox);
    // A link for another device first: it logs nobody in here.
    let foreign = backend.link(&"A".repeat(43));
    for good in [false, true] {
        let password = sandbox.file("password", &format!("{PASSWORD}\n"));
        let run = format!(
            "{} login {} --password-fd 9 9<{}; echo code=$?",
            crate::harness::program().display(),
            backend.url,
            password.display()
        );
        let mut child = Command::new("timeout")
            .args(["300", "script", "-qec", &run, "/dev/null"])
            .env("OPENHUMAN_HOME", sandbox.home())
            .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent/bus")
            .env("SHELL", "/bin/sh")
            .env("NO_COLOR", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (mut input, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (mut seen, mut piece, mut sent) = (String::new(), [0; 512], false);
        loop {
            let count = output.read(&mut piece).unwrap();
            if count == 0 {
                break;
            }
            seen.push_str(&String::from_utf8_lossy(&piece[..count]));
            if !sent && seen.contains("Link or token") {
                let code = seen
                    .split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_')
                    .find(|word| word.len() == 43)
                    .unwrap_or_else(|| panic!("no code: {seen}"));
                let link = if good { backend.link(code) } else { foreign.clone() };
                writeln!(input, "{link}").unwrap();
                sent = true;
            }
        }
        child.wait().unwrap();
        let expected = if good { "code=0" } else { "code=4" };
        assert!(seen.contains(expected), "{good}: {seen}");
        assert!(!seen.contains("oht1_"), "the link is not shown: {seen}");
    }
    sandbox
        .run(&["ask", "--backend", &backend.url, "What is ETH at?"])
        .ok();
}

#[test]
fn a_doctor_says_what_is_wrong_and_what_was_not_looked_at() {
    let sandbox = sandbox();
    // Nobody gives a password: the vault stays closed, and that is no failure.
    let locked = end(&mut sandbox.command(&["doctor", "--json"]), "");
    let report = as_json(&locked.stdout);
    assert_eq!(
        (locked.code, &report["ok"]),
        (0, &Value::Bool(true)),
        "{report:#}"
    );
    let vault = findings(&report, "vault");
    assert!(
        vault.iter().any(|finding| finding["grade"] == "note"),
        "{report:#}"
    );

    sandbox.run(&["memory", "list"]).ok();
    let healthy = sandbox.run(&["doctor"]).ok();
    assert!(healthy.contains("Nothing is wrong."), "{healthy}");

    // A skill that does not start, and a database that is no database any more.
    let mut broken = sandbox;
    let dir = broken.skill("broken", "throw new Error('no luck today');");
    broken.env("OPENHUMAN_SKILLS_DIR", dir.to_str().unwrap());
    let ended = broken.run(&["doctor"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(ended.stdout.contains("no luck today"), "{}", ended.stdout);
    let file = broken.home().join("memory/memory.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let ended = broken.run(&["doctor", "--json"]);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    let report = as_json(&ended.stdout);
    let bad = findings(&report, "databases");
    assert!(
        bad.iter()
            .any(|finding| finding["grade"] == "bad" && finding["text"].to_string().contains("page")),
        "{report:#}"
    );

    let empty = Sandbox::new();
    let told = end(&mut empty.command(&["doctor"]), "").ok();
    assert!(told.contains("vault create"), "{told}");
}
