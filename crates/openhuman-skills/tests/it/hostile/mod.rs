//! Scripts that try to harm their host: the corpus of `tests/hostile`, beside a skill that works throughout.
//!
//! `OPENHUMAN_HOSTILE=CLASS[/NAME]` runs a part of it and prints what came of each case; `OPENHUMAN_HOSTILE_ROUNDS=N`
//! repeats it, each time in another order.

mod case;
mod neighbour;
mod servers;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, stream};
use openhuman_skills::{
    CallOptions, Engine, Grant, HostRule, MemorySecrets, SkillId, SkillPackage, SkillStatus, ToolError,
};
use serde_json::json;

use self::case::{Case, Outcome};
use self::neighbour::{Neighbour, Record};
use self::servers::{Names, Servers};
use crate::support::{call, call_for, engine, run};

/// Beyond its limit a call may take this long until its caller has the answer. More is a hang.
const SLACK: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_harms_nobody_on_two_workers() {
    corpus(2, 12).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_corpus_harms_nobody_on_one_worker() {
    corpus(1, 8).await;
}

/// Runs all cases, some at a time, each in a skill of its own.
async fn corpus(workers: usize, at_once: usize) {
    let wanted = std::env::var("OPENHUMAN_HOSTILE").ok();
    let mut cases = Case::all();
    if let Some(wanted) = &wanted {
        cases.retain(|case| case.class == *wanted || format!("{}/{}", case.class, case.name) == *wanted);
    }
    let rounds = std::env::var("OPENHUMAN_HOSTILE_ROUNDS")
        .ok()
        .and_then(|rounds| rounds.parse().ok());
    for round in 0..rounds.unwrap_or(1) {
        // Neighbours in the list come from different classes: so the corpus runs evenly, and mixes its attacks.
        cases.sort_by_key(|case| case.place);
        if round > 0 {
            cases.sort_by_cached_key(|case| shuffled(round, case));
        }
        let problems = run_cases(&cases, workers, at_once + 5 * round % 30).await;
        assert!(
            problems.is_empty(),
            "round {round}, {} problems:\n{}",
            problems.len(),
            problems.join("\n")
        );
    }
}

/// A place in the order of one round: the same in every run, another in every round.
fn shuffled(round: usize, case: &Case) -> u64 {
    let mut hasher = DefaultHasher::new();
    (round, case.id()).hash(&mut hasher);
    hasher.finish()
}

/// Runs cases beside working neighbours; returns everything that is wrong.
async fn run_cases(cases: &[Case], workers: usize, at_once: usize) -> Vec<String> {
    let servers = Servers::start().await;
    let secret = SkillId::new("ssrf-secret-to-another-host").unwrap();
    let engine = Engine::builder()
        .workers(workers)
        .lifecycle_limits(
            Duration::from_millis(3000),
            Duration::from_millis(2000),
            Duration::from_millis(300),
        )
        .background_limit(Duration::from_millis(500))
        .resolver(Arc::new(Names::default()))
        .secrets(Arc::new(MemorySecrets::default().with(
            &secret,
            "token",
            "api.test",
            "s3cret-value",
        )))
        .build()
        .unwrap();
    let mut neighbours = Vec::new();
    for index in 0..workers {
        neighbours.push(Neighbour::start(&engine, &format!("neighbour-{index}")).await);
    }
    let started = Instant::now();
    let failures: Vec<String> = stream::iter(cases)
        .map(|case| check(&engine, case, &servers))
        .buffer_unordered(at_once)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    let took = started.elapsed();
    let mut problems = failures;
    for neighbour in neighbours {
        match neighbour.finish().await {
            Ok(record) => println!("the neighbour: {}", record.summary()),
            Err(problem) => problems.push(problem),
        }
    }
    println!("{} cases on {workers} workers in {took:?}", cases.len());
    if servers.reached() > 0 {
        problems.push(format!(
            "{} requests reached what no skill may reach",
            servers.reached()
        ));
    }
    for file in ["/tmp/openhuman-hostile", "/tmp/openhuman-hostile.db"] {
        if Path::new(file).exists() {
            problems.push(format!("{file} was written"));
        }
    }
    let ended = tokio::time::timeout(Duration::from_secs(20), engine.shutdown()).await;
    if ended.is_err() {
        problems.push("the engine does not shut down".to_owned());
    }
    problems
}

/// The harness can fail: a built-in function that nothing suspends is noticed by the neighbour, a wrong outcome and a
/// wrong answer are reported.
#[tokio::test(flavor = "multi_thread")]
async fn the_harness_notices_harm() {
    let hog = "[].reverse.call({ length: 8e7 }); return 'done';";
    let mut longest = Vec::new();
    for stall_limit in [Duration::from_millis(20), Duration::from_secs(3600)] {
        let engine = Engine::builder()
            .workers(1)
            .stall_limit(stall_limit)
            .build()
            .unwrap();
        let neighbour = Neighbour::start(&engine, "neighbour").await;
        let id = run(&engine, "hog", &crate::support::tool(hog)).await;
        assert_eq!(call(&engine, &id, json!({})).await.as_deref(), Ok("done"));
        let record = neighbour.finish().await;
        println!("{stall_limit:?}: {:?}", record.as_ref().map(Record::summary));
        longest.push(record.map_or(neighbour::LONGEST, |record| record.longest()));
        engine.shutdown().await;
    }
    println!("the longest call beside a suspended built-in function and beside one that is not: {longest:?}");
    assert!(longest[1] > 3 * longest[0], "{longest:?}");

    let wrong = Case::parse("loops", "returns-after-all", "// expect: timeout\nreturn 'done';");
    let problems = run_cases(&[wrong], 1, 1).await;
    assert!(
        problems.len() == 1 && problems[0].contains("expected [Timeout]"),
        "{problems:?}"
    );
}

/// Runs one case; returns what is wrong with what came of it.
async fn check(engine: &Engine, case: &Case, servers: &Servers) -> Option<String> {
    let started = Instant::now();
    let outcome = tokio::time::timeout(Duration::from_secs(60), attack(engine, case, servers)).await;
    let name = format!("{}/{}", case.class, case.name);
    if std::env::var_os("OPENHUMAN_HOSTILE").is_some() {
        println!(
            "{name}: {:?} {}",
            started.elapsed(),
            shortened(&format!("{outcome:?}"))
        );
    }
    match outcome {
        Err(_) => Some(format!("{name} hangs")),
        Ok(Err(problem)) => Some(format!("{name}: {problem}")),
        Ok(Ok(outcome)) if case.accepts(&outcome) => None,
        Ok(Ok(outcome)) => Some(format!(
            "{name}: expected {:?}, got {}",
            case.expect,
            shortened(&format!("{outcome:?}"))
        )),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}

async fn attack(engine: &Engine, case: &Case, servers: &Servers) -> Result<Outcome, String> {
    let code = case.code(servers.canary, servers.open);
    let package = match SkillPackage::from_parts(&case.manifest(), code) {
        Ok(package) => package,
        Err(error) => return Ok(Outcome::Load(error.to_string())),
    };
    let mut grant = Grant::from_manifest(package.manifest());
    grant
        .allow_host(HostRule::new("*").http().ports([80, 443, servers.canary]))
        .allow_private("127.0.0.1", servers.open);
    let id = engine
        .install(package, grant)
        .await
        .map_err(|error| error.to_string())?;
    let outcome = match engine.start(&id).await {
        Ok(()) => {
            let started = Instant::now();
            let result = tool(engine, &id, "run", case.limit).await;
            let took = started.elapsed();
            if took > case.limit + SLACK {
                return Err(format!("the call took {took:?}"));
            }
            if !alive(engine, &id, case).await {
                return Err(format!(
                    "the skill does not answer after {}",
                    shortened(&format!("{result:?}"))
                ));
            }
            Outcome::Call(result)
        }
        Err(error) => error.into(),
    };
    let removed = tokio::time::timeout(SLACK, engine.remove(&id)).await;
    match removed {
        Ok(Ok(())) => Ok(outcome),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err("the skill cannot be removed".to_owned()),
    }
}

/// Whether the skill answers, or is reported as one that does not run. One that broke itself may answer with an
/// error, but in time.
async fn alive(engine: &Engine, id: &SkillId, case: &Case) -> bool {
    let started = Instant::now();
    let answer = tool(engine, id, "alive", Duration::from_secs(5)).await;
    let status = engine
        .snapshots()
        .into_iter()
        .find(|skill| skill.skill_id == id.as_str())
        .map(|skill| skill.status);
    match answer {
        Ok(text) => text == "alive",
        Err(_) if !case.stays_alive => started.elapsed() < 2 * SLACK,
        Err(_) => status != Some(SkillStatus::Running),
    }
}

async fn tool(engine: &Engine, id: &SkillId, name: &str, timeout: Duration) -> Result<String, ToolError> {
    let output = engine
        .call_tool(id, name, json!({}), CallOptions { timeout })
        .await?;
    Ok(output.text)
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_of_one_skill_does_not_count_for_another() {
    let engine = engine();
    let eats = "var kept = []; var tools = [{ name: 'run', execute() { try { for (;;) kept.push(new ArrayBuffer(1024 * 1024)); } catch (e) { return kept.length; } } }];";
    for index in 0..3 {
        let id = run(&engine, &format!("eats-{index}"), eats).await;
        let megabytes: u32 = call(&engine, &id, json!({})).await.unwrap().parse().unwrap();
        assert!((50..=64).contains(&megabytes), "{megabytes}");
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_skills_answer_beside_two_hogs() {
    let engine = engine();
    for index in 0..2 {
        let hog = run(
            &engine,
            &format!("hog-{index}"),
            "var tools = [{ name: 'run', execute() { for (;;); } }];",
        )
        .await;
        let engine = engine.clone();
        tokio::spawn(async move { call_for(&engine, &hog, json!({}), Duration::from_secs(60)).await });
    }
    let mut skills = Vec::new();
    for index in 0..200 {
        skills.push(
            run(
                &engine,
                &format!("good-{index}"),
                "var tools = [{ name: 'run', execute: (a) => String(a.n * 2) }];",
            )
            .await,
        );
    }
    for (index, id) in skills.iter().enumerate() {
        assert_eq!(
            call_for(&engine, id, json!({ "n": index }), Duration::from_secs(5)).await,
            Ok((index * 2).to_string())
        );
    }
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn skills_do_not_see_each_other() {
    let engine = engine();
    let code = "var tools = [{ name: 'run', execute(a) {
        if (a.write) { globalThis.shared = a.write; Object.prototype.leak = a.write; state.set('k', a.write); db.kvSet('k', a.write); db.exec('CREATE TABLE mine (x)'); return 'ok'; }
        let tables = db.all(\"SELECT name FROM sqlite_master WHERE name = 'mine'\").length;
        return [globalThis.shared ?? null, {}.leak ?? null, state.get('k'), db.kvGet('k'), tables];
    } }];";
    let one = run(&engine, "one", code).await;
    let two = run(&engine, "two", code).await;
    assert_eq!(
        call(&engine, &one, json!({"write": "secret"})).await.as_deref(),
        Ok("ok")
    );
    assert_eq!(
        call(&engine, &two, json!({})).await.as_deref(),
        Ok("[null,null,null,null,0]")
    );
    assert_eq!(
        call(&engine, &one, json!({})).await.as_deref(),
        Ok(r#"["secret","secret","secret","secret",1]"#)
    );
    engine.shutdown().await;
}
