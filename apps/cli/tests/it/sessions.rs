//! How a command begins and ends: where secrets come from, where output goes, and what signals do.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use openhuman::vault::{MemoryKeyStore, Password, Vault, VaultOptions};
use serde_json::{Value, json};

use crate::harness::{Ended, PASSWORD, Sandbox, end, program};

/// An address where no session bus is, so that a test never meets the keychain of whoever runs it.
const NO_BUS: &str = "unix:path=/nonexistent/bus";

fn with_vault() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.env("DBUS_SESSION_BUS_ADDRESS", NO_BUS);
    sandbox.run(&["vault", "create"]).ok();
    sandbox
}

/// The command behind a shell that opens the password's file as descriptor 3 and the login token's as 4.
fn with_descriptors(sandbox: &Sandbox, token: &str, args: &[&str]) -> Command {
    let inner = sandbox.command(&[]);
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg("exec \"$0\" \"$@\" --password-fd 3 3<\"$PASSWORD_FILE\" 4<\"$LOGIN_FILE\"")
        .arg(program())
        .args(args)
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PASSWORD_FILE", sandbox.file("password", PASSWORD))
        .env("LOGIN_FILE", sandbox.file("login", token));
    command
}

/// A server of the command that has said its first line. It is killed when the test ends without stopping it.
struct Server {
    child: Child,
    stdout: BufReader<ChildStdout>,
}

impl Server {
    fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    #[track_caller]
    fn ends_well_when_terminated(mut self) {
        let told = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(told.unwrap().success());
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0), "{status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let sandbox = with_vault();
    for args in [&["vault", "status"][..], &["vault", "status", "--json"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = sandbox
            .command(args)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let ended = Ended::from(output);
        assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_one_error() {
    let sandbox = with_vault();
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = sandbox.command(&["vault", "status"]);
    let ended = Ended::from(command.stdout(full()).stderr(Stdio::piped()).output().unwrap());
    ended.fails(1, &["No space left"]);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    // Without any place to complain the exit code is all there is.
    let status = sandbox
        .command(&["vault", "status"])
        .stdout(full())
        .stderr(full())
        .status();
    assert_eq!(status.unwrap().code(), Some(1));
}

#[test]
fn addresses_that_are_none() {
    let sandbox = Sandbox::new();
    let ask = ["ask", "--backend", "nonsense", "--login-token-fd", "0", "Hello?"];
    end(&mut sandbox.command(&ask), "").fails(2, &["nonsense", "https://host"]);
    let listen = ["backend", "run", "--listen", "foo"];
    end(&mut sandbox.command(&listen), "").fails(2, &["foo", "host:port"]);
}

#[test]
fn a_home_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    let file = sandbox.file("file", "no directory");
    let mut homes = vec![file.join("home"), file];
    if cfg!(target_os = "linux") {
        // Nobody, not even root, makes a directory there.
        homes.push("/proc/openhuman-home".into());
    }
    for home in homes {
        let home = home.to_str().unwrap();
        for command in [&["vault", "create"][..], &["memory", "list"]] {
            let mut args = command.to_vec();
            args.extend(["--home", home]);
            sandbox.run(&args).fails(6, &[home, "--home"]);
        }
    }
}

#[test]
fn servers_end_well_when_they_are_terminated() {
    let mut sandbox = with_vault();
    let mut model = Server::start(&mut sandbox.command(&["dev", "llm"]));
    let base_url = model.line()["base_url"].as_str().unwrap().to_owned();

    sandbox.env("OPENAI_BASE_URL", &base_url);
    let mut backend =
        Server::start(&mut sandbox.command(&["backend", "run", "--json", "--listen", "127.0.0.1:0"]));
    assert!(backend.line()["login_token"].is_string());

    let mut mcp = Server::start(&mut with_descriptors(&sandbox, "", &["mcp", "serve"]));
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "test", "version": "1" } } });
    let mut stdin = mcp.child.stdin.take().unwrap();
    writeln!(stdin, "{hello}").unwrap();
    assert!(mcp.line()["result"].is_object());

    mcp.ends_well_when_terminated();
    drop(stdin);
    backend.ends_well_when_terminated();
    model.ends_well_when_terminated();
}

#[test]
fn only_the_first_line_of_a_descriptor_is_taken() {
    // What follows in standard input is there for the next reader.
    let sandbox = Sandbox::new();
    let inner = sandbox.command(&[]);
    let mut command = Command::new("sh");
    command
        .args(["-c", "\"$0\" vault create --json --password-fd 0 && cat"])
        .arg(program())
        .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let printed = end(&mut command, &format!("{PASSWORD}\nthe rest\n")).ok();
    let (created, rest) = printed.split_once('\n').unwrap();
    let home = sandbox.home();
    assert_eq!(
        serde_json::from_str::<Value>(created).unwrap(),
        json!({ "created": true, "home": home.to_str().unwrap() })
    );
    assert_eq!(rest, "the rest\n");

    // Nobody closes this input: the command must not wait for its end.
    let mut child = sandbox
        .command(&["memory", "list", "--password-fd", "0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{PASSWORD}").unwrap();
    let status = child.wait().unwrap();
    drop(stdin);
    assert_eq!(status.code(), Some(0));
}

#[test]
fn two_secrets_come_from_one_descriptor() {
    let sandbox = with_vault();
    let absent = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{absent}");
    let args = [
        "ask",
        "--backend",
        &url,
        "--login-token-fd",
        "0",
        "--password-fd",
        "0",
        "Hello?",
    ];
    // The backend is asked only when both were read.
    end(&mut sandbox.command(&args), &format!("{PASSWORD}\noht1_none\n")).fails(6, &[&url]);
    end(&mut sandbox.command(&args), &format!("{PASSWORD}\n")).fails(4, &["login token", "empty"]);
}

#[test]
fn descriptors_that_give_no_secret() {
    let sandbox = with_vault();
    // Descriptors that the process opens for itself are not taken for the caller's.
    let inner = sandbox.command(&[]);
    for fd in 3..10 {
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 3<&- 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-"])
            .arg(program())
            .args(["memory", "list", "--password-fd", &fd.to_string()])
            .envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let advice =
            format!("file descriptor {fd} is not open; open it in the calling shell, as in {fd}<FILE");
        end(&mut command, "").fails(2, &[&advice]);
    }
    let from_stdin = ["memory", "list", "--password-fd", "0"];
    end(&mut sandbox.command(&from_stdin), "\n").fails(4, &["the password", "empty"]);
    let long = "a".repeat(5000);
    let ended = end(&mut sandbox.command(&from_stdin), &long);
    ended.fails(4, &["longer than 4096 bytes"]);
    assert!(!ended.stderr.contains("aaaa"), "{}", ended.stderr);
}

#[test]
fn a_home_without_a_vault_and_nobody_to_ask() {
    let sandbox = Sandbox::new();
    let home = sandbox.home();
    let home = home.to_str().unwrap();
    for args in [&["memory", "list"][..], &["vault", "create"]] {
        let ended = end(&mut sandbox.command(args), "");
        ended.fails(
            4,
            &[
                "there is no vault in",
                home,
                "openhuman vault create",
                "--password-fd",
            ],
        );
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
    assert!(!sandbox.home().exists(), "nothing is created for nobody");
}

#[test]
fn a_lost_vault_is_not_replaced() {
    let sandbox = with_vault();
    sandbox.run(&["memory", "list"]).ok();
    std::fs::rename(sandbox.home().join("vault"), sandbox.path().join("lost")).unwrap();
    for args in [&["vault", "create"][..], &["memory", "list"]] {
        sandbox
            .run(args)
            .fails(3, &["missing", "vault.ohv", "backup", "--home"]);
    }
    std::fs::rename(sandbox.path().join("lost"), sandbox.home().join("vault")).unwrap();
    sandbox.run(&["memory", "list"]).ok();
}

#[test]
fn the_state_of_the_vault_as_json() {
    let mut sandbox = Sandbox::new();
    sandbox.env("DBUS_SESSION_BUS_ADDRESS", NO_BUS);
    let status = |sandbox: &Sandbox| -> Value {
        let printed = end(&mut sandbox.command(&["vault", "status", "--json"]), "").ok();
        serde_json::from_str(&printed).unwrap()
    };
    assert_eq!(status(&sandbox)["exists"], false);
    let created: Value = serde_json::from_str(&sandbox.run(&["vault", "create", "--json"]).ok()).unwrap();
    assert_eq!(created["created"], true);
    let there = status(&sandbox);
    assert_eq!(
        (&there["exists"], &there["opened_by_keychain"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(there["keychain_problem"], Value::Null);
    sandbox
        .run(&["vault", "create", "--json"])
        .fails(1, &["\"code\":\"failed\"", "already"]);
}

/// A keychain that should open the vault and cannot be reached is named, whoever asks.
#[cfg(target_os = "linux")]
#[test]
fn a_keychain_that_does_not_open_the_vault_is_named() {
    let mut sandbox = Sandbox::new();
    sandbox.env("DBUS_SESSION_BUS_ADDRESS", NO_BUS);
    let password = Password::from(PASSWORD.to_owned());
    let mut vault = Vault::create(
        &sandbox.home().join("vault"),
        &password,
        &VaultOptions::fast_for_tests(),
    )
    .unwrap();
    let locked = |sandbox: &Sandbox| end(&mut sandbox.command(&["memory", "list"]), "");
    let silent = locked(&sandbox);
    silent.fails(4, &["no terminal", "vault remember"]);
    assert!(!silent.stderr.contains("does not open"), "{}", silent.stderr);

    vault.remember_in(&MemoryKeyStore::new()).unwrap();
    locked(&sandbox).fails(
        4,
        &["no terminal", "the keychain does not open it", "/nonexistent/bus"],
    );
    let status = end(&mut sandbox.command(&["vault", "status"]), "").ok();
    assert!(status.contains("/nonexistent/bus"), "{status}");
    sandbox.run(&["memory", "list"]).ok();
    sandbox
        .run(&["vault", "remember", "--json"])
        .fails(4, &["\"code\":\"locked\"", "/nonexistent/bus"]);
}

#[test]
fn logs_at_their_finest_hold_no_secrets() {
    let mut sandbox = with_vault();
    sandbox.env(
        "OPENHUMAN_LOG",
        "trace,tungstenite::protocol=trace,hyper_util=trace",
    );
    let mut model = Server::start(sandbox.command(&["dev", "llm"]).stderr(Stdio::null()));
    let base_url = model.line()["base_url"].as_str().unwrap().to_owned();
    sandbox.env("OPENAI_BASE_URL", base_url);
    sandbox.env("OPENAI_MODEL", "scripted-demo");
    let mut command = sandbox.command(&["backend", "run", "--json", "--listen", "127.0.0.1:0"]);
    let log = sandbox.file("backend.log", "");
    let mut backend = Server::start(command.stderr(std::fs::File::create(&log).unwrap()));
    let announced = backend.line();
    let (url, token) = (
        announced["url"].as_str().unwrap(),
        announced["login_token"].as_str().unwrap(),
    );

    let prompt = "Is the marmalade on the shelf?";
    let args = ["ask", "--backend", url, "--login-token-fd", "4", prompt];
    let ended = end(&mut with_descriptors(&sandbox, token, &args), "");
    let stderr = ended.stderr.clone();
    ended.ok();
    assert!(
        stderr.contains("TRACE") || stderr.contains("DEBUG"),
        "nothing was logged: {stderr}"
    );
    assert!(!stderr.contains('\u{1b}'), "colours in a file: {stderr}");
    let backend_log = std::fs::read_to_string(&log).unwrap();
    // A session token is a JSON Web Token, and this is how its header begins.
    for secret in [PASSWORD, token, "eyJhbGciOi", prompt] {
        assert!(!stderr.contains(secret), "'{secret}' is in: {stderr}");
        assert!(!backend_log.contains(secret), "'{secret}' is in: {backend_log}");
    }
}
