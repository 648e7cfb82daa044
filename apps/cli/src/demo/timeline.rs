//! What the demo shows: one line a step with its duration, and a table of checks at the end.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::style::{BOLD, DIM, ERROR, GOOD};

/// One finished step.
struct Step {
    name: &'static str,
    millis: f64,
    detail: String,
}

/// One question that has to be answered with yes.
struct Check {
    question: &'static str,
    passed: bool,
    detail: String,
}

pub(crate) struct Timeline {
    as_json: bool,
    started: Instant,
    step_started: Instant,
    steps: Vec<Step>,
    checks: Vec<Check>,
}

impl Timeline {
    pub(crate) fn new(as_json: bool) -> Self {
        let now = Instant::now();
        Self {
            as_json,
            started: now,
            step_started: now,
            steps: Vec::new(),
            checks: Vec::new(),
        }
    }

    /// The step that began when the last one ended is done.
    pub(crate) fn step(&mut self, name: &'static str, detail: impl Into<String>) {
        let millis = millis(self.step_started.elapsed());
        let step = Step {
            name,
            millis,
            detail: detail.into(),
        };
        if self.as_json {
            println!("{}", step.as_json());
        } else {
            anstream::println!(
                "{GOOD}●{GOOD:#} {DIM}{:>9}{DIM:#}  {:<10} {}",
                duration(millis),
                step.name,
                step.detail
            );
        }
        self.steps.push(step);
        self.step_started = Instant::now();
    }

    pub(crate) fn check(&mut self, question: &'static str, passed: bool, detail: impl Into<String>) {
        let detail = detail.into();
        if self.as_json {
            println!(
                "{}",
                json!({ "check": question, "passed": passed, "detail": detail })
            );
        }
        self.checks.push(Check {
            question,
            passed,
            detail,
        });
    }

    /// Shows the answer and the checks; whether all passed.
    pub(crate) fn finish(self, answer: &str, error: Option<&str>) -> bool {
        let ok = error.is_none() && !self.checks.is_empty() && self.checks.iter().all(|check| check.passed);
        let total = millis(self.started.elapsed());
        if self.as_json {
            let steps: Vec<Value> = self.steps.iter().map(Step::as_json).collect();
            let checks: Vec<Value> = self.checks.iter().map(Check::as_json).collect();
            let mut last =
                json!({ "ok": ok, "steps": steps, "checks": checks, "answer": answer, "ms": total });
            if let Some(error) = error {
                last["error"] = Value::from(error);
            }
            println!("{last}");
            return ok;
        }
        anstream::println!("\n{BOLD}Checks{BOLD:#}");
        for check in &self.checks {
            let (style, mark) = if check.passed {
                (GOOD, "✔")
            } else {
                (ERROR, "✘")
            };
            anstream::println!(
                "  {style}{mark}{style:#} {:<66} {DIM}{}{DIM:#}",
                check.question,
                check.detail
            );
        }
        if let Some(error) = error {
            anstream::println!("  {ERROR}✘{ERROR:#} {error}");
        }
        let passed = self.checks.iter().filter(|check| check.passed).count();
        let style = if ok { GOOD } else { ERROR };
        let total = duration(total);
        anstream::println!(
            "\n{style}{passed} of {} checks passed{style:#} in {total}.",
            self.checks.len()
        );
        ok
    }
}

impl Step {
    fn as_json(&self) -> Value {
        json!({ "step": self.name, "ms": self.millis, "detail": self.detail })
    }
}

impl Check {
    fn as_json(&self) -> Value {
        json!({ "check": self.question, "passed": self.passed, "detail": self.detail })
    }
}

/// Milliseconds with one decimal.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 10_000.0).round() / 10.0
}

fn duration(millis: f64) -> String {
    if millis < 1000.0 {
        format!("{millis:.1} ms")
    } else {
        format!("{:.2} s", millis / 1000.0)
    }
}
