//! The demo proves itself, and its checks notice what is broken.

use serde_json::Value;

use crate::harness::{Sandbox, end};

fn demo(args: &[&str]) -> (i32, Vec<Value>) {
    let sandbox = Sandbox::new();
    let mut all = vec!["demo", "--json"];
    all.extend(args);
    let ended = end(&mut sandbox.command(&all), "");
    let lines = ended
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    (ended.code, lines)
}

fn failed_checks(last: &Value) -> Vec<&str> {
    let checks = last["checks"].as_array().unwrap();
    checks
        .iter()
        .filter(|check| check["passed"] != true)
        .map(|check| check["check"].as_str().unwrap())
        .collect()
}

#[test]
fn the_main_job_works_end_to_end() {
    let (code, lines) = demo(&[]);
    let last = lines.last().unwrap();
    assert_eq!((code, &last["ok"]), (0, &Value::Bool(true)), "{last:#}");
    assert!(last["steps"].as_array().unwrap().len() >= 10, "{last:#}");
    assert!(last["checks"].as_array().unwrap().len() >= 9, "{last:#}");
    assert!(
        last["answer"].as_str().unwrap().contains("validator-"),
        "{last:#}"
    );
    assert!(
        lines
            .iter()
            .filter(|line| line["step"].is_string())
            .all(|line| line["ms"].is_number())
    );
}

#[test]
fn two_runs_have_different_answers() {
    let answer = |lines: &[Value]| lines.last().unwrap()["answer"].as_str().unwrap().to_owned();
    assert_ne!(answer(&demo(&[]).1), answer(&demo(&[]).1));
}

#[test]
fn a_broken_price_tool_is_noticed() {
    let (code, lines) = demo(&["--break", "prices"]);
    let last = lines.last().unwrap();
    assert_eq!((code, &last["ok"]), (1, &Value::Bool(false)), "{last:#}");
    let failed = failed_checks(last);
    assert!(failed.contains(&"the answer has this run's price"), "{failed:?}");
    assert!(!failed.contains(&"the answer has this run's note"), "{failed:?}");
}

#[test]
fn a_broken_notes_tool_is_noticed() {
    let (code, lines) = demo(&["--break", "notes"]);
    let last = lines.last().unwrap();
    assert_eq!((code, &last["ok"]), (1, &Value::Bool(false)), "{last:#}");
    let failed = failed_checks(last);
    assert!(failed.contains(&"the answer has this run's note"), "{failed:?}");
    assert!(!failed.contains(&"the answer has this run's price"), "{failed:?}");
}
