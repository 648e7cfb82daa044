//! kill -9 at every journal entry: what is resumed comes to the same end as a turn that nobody disturbed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use openhuman_agent::{
    Agent, Approval, Approver, FileJournal, Journal, JournalError, MemoryResults, Message, ModelRequest,
    ToolCall, ToolOutcome, ToolSpec, Tools, TurnEvent, TurnInput,
};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::support::{FakeModel, answer, calls, recalled, results, says, spec};

const FOLDER: &str = "OPENHUMAN_TEST_KILL_FOLDER";
const AT: &str = "OPENHUMAN_TEST_KILL_AT";

/// Tools whose effects are lines of a file.
struct World(PathBuf);

impl World {
    fn effects(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.join("effects")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Tools for World {
    fn list(&self) -> BoxFuture<'_, Vec<ToolSpec>> {
        async { vec![spec("s__read", true), spec("s__write", false)] }.boxed()
    }

    fn call<'a>(&'a self, call: &'a ToolCall, _cancel: CancellationToken) -> BoxFuture<'a, ToolOutcome> {
        async move {
            if call.name == "s__write" {
                let mut options = std::fs::OpenOptions::new();
                let mut file = options
                    .append(true)
                    .create(true)
                    .open(self.0.join("effects"))
                    .unwrap();
                writeln!(file, "{}", call.arguments).unwrap();
                file.sync_all().unwrap();
            }
            ToolOutcome::success(format!("{} {}", call.name, call.arguments))
        }
        .boxed()
    }
}

/// Approves; an interrupted write only when it left no effect.
struct Checks(PathBuf);

impl Approver for Checks {
    fn approve<'a>(&'a self, _: &'a ToolCall, _: &'a ToolSpec) -> BoxFuture<'a, Approval> {
        async { Approval::Allow }.boxed()
    }

    fn approve_repeat<'a>(&'a self, call: &'a ToolCall, _: &'a ToolSpec) -> BoxFuture<'a, Approval> {
        let done = World(self.0.clone())
            .effects()
            .contains(&call.arguments.to_string());
        async move {
            if done {
                let reason = "it has been done".to_owned();
                Approval::Deny { reason }
            } else {
                Approval::Allow
            }
        }
        .boxed()
    }
}

/// Writes to the file and stops for ever behind one entry.
struct Stops {
    file: FileJournal,
    at: usize,
    count: AtomicUsize,
}

impl Journal for Stops {
    fn append<'a>(&'a self, entry: &'a str) -> BoxFuture<'a, Result<(), JournalError>> {
        async move {
            self.file.append(entry).await?;
            if self.count.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
                println!("REACHED");
                std::io::stdout().flush().unwrap();
                std::future::pending::<()>().await;
            }
            Ok(())
        }
        .boxed()
    }
}

fn agent(folder: &Path, journal: Option<Arc<dyn Journal>>) -> Agent {
    let model = FakeModel(|request: &ModelRequest| match results(request) {
        0 => calls(&[
            ("s__read", json!({"n": 1})),
            ("s__write", json!({"n": 2})),
            ("s__read", json!({"n": 3})),
            ("s__write", json!({"n": 4})),
        ]),
        4 => calls(&[("s__write", json!({"n": 5})), ("s__unknown", json!({}))]),
        _ => {
            let all: Vec<&str> = request
                .messages
                .iter()
                .skip(1)
                .map(|m| m.content.as_str())
                .collect();
            says(&all.join("; "))
        }
    });
    let builder = Agent::builder(Arc::new(model))
        .tools(Arc::new(World(folder.to_owned())))
        .approver(Arc::new(Checks(folder.to_owned())))
        .results(Arc::new(MemoryResults::new(1 << 20)));
    match journal {
        Some(journal) => builder.journal(journal).build(),
        None => builder.build(),
    }
}

fn input() -> TurnInput {
    TurnInput {
        history: vec![Message::user("before"), Message::assistant("yes")],
        context: vec![recalled("a", "b")],
        prompt: "go".to_owned(),
    }
}

fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("openhuman-agent-kill-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Not a test by itself: the process that is killed.
#[tokio::test]
#[ignore = "started by the test below"]
async fn the_child() {
    let (Ok(folder), Ok(at)) = (std::env::var(FOLDER), std::env::var(AT)) else {
        return;
    };
    let journal = Stops {
        file: FileJournal::new(Path::new(&folder).join("turn.json")),
        at: at.parse().unwrap(),
        count: AtomicUsize::new(0),
    };
    let agent = agent(Path::new(&folder), Some(Arc::new(journal)));
    let events: Vec<TurnEvent> = agent.run(input(), CancellationToken::new()).collect().await;
    println!("ENDED {}", events.len());
}

/// Starts the child and kills it behind its entry `at`. False when the turn ended before that entry.
fn killed_at(folder: &Path, at: usize) -> bool {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "kill::the_child", "--nocapture"])
        .env(FOLDER, folder)
        .env(AT, at.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let reached = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok)
        .find_map(|line| match line {
            line if line.contains("REACHED") => Some(true),
            line if line.contains("ENDED") => Some(false),
            _ => None,
        });
    // SIGKILL on Unix.
    child.kill().unwrap();
    child.wait().unwrap();
    reached.expect("the child reaches the entry or the end")
}

#[tokio::test]
async fn a_turn_killed_at_any_entry_comes_to_the_same_end() {
    let whole_folder = folder("whole");
    let whole: Vec<TurnEvent> = agent(&whole_folder, None)
        .run(input(), CancellationToken::new())
        .collect()
        .await;
    let whole_answer = answer(&whole);
    let effects = World(whole_folder.clone()).effects();
    assert_eq!(effects.len(), 3);
    let mut at = 1;
    loop {
        let folder = folder(&at.to_string());
        let reached = killed_at(&folder, at);
        if !reached {
            std::fs::remove_dir_all(&folder).unwrap();
            break;
        }
        let journal = Arc::new(FileJournal::new(folder.join("turn.json")));
        let turn = journal.turn().unwrap().expect("an entry was written");
        let events: Vec<TurnEvent> = agent(&folder, Some(journal))
            .resume(turn, CancellationToken::new())
            .collect()
            .await;
        assert_eq!(World(folder.clone()).effects(), effects, "killed at entry {at}");
        assert_eq!(answer(&events), whole_answer, "killed at entry {at}");
        std::fs::remove_dir_all(&folder).unwrap();
        at += 1;
    }
    println!("killed at each of {} journal entries", at - 1);
    assert!(at > 15, "only {} entries", at - 1);
    std::fs::remove_dir_all(&whole_folder).unwrap();
}
