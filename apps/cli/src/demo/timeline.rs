//! What the demo shows: one line a step with its duration, and a table of checks at the end.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::exit::Failure;
use crate::output::{self, line};
use crate::style::{BOLD, DIM, ERROR, GOOD};

/// The columns before a step's detail.
const STEP: usize = 25;

/// The width of the questions' column.
const QUESTION: usize = 63;

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
    pub(crate) fn step(&mut self, name: &'static str, detail: impl Into<String>) -> Result<(), Failure> {
        let millis = millis(self.step_started.elapsed());
        let step = Step {
            name,
            millis,
            detail: detail.into(),
        };
        if self.as_json {
            output::json(&step.as_json())?;
        } else {
            let detail = folded(&step.detail, STEP);
            line(format_args!(
                "{GOOD}●{GOOD:#} {DIM}{:>9}{DIM:#}  {:<10}  {detail}",
                duration(millis),
                step.name
            ))?;
        }
        self.steps.push(step);
        self.step_started = Instant::now();
        Ok(())
    }

    pub(crate) fn check(
        &mut self,
        question: &'static str,
        passed: bool,
        detail: impl Into<String>,
    ) -> Result<(), Failure> {
        let detail = detail.into();
        if self.as_json {
            output::json(&json!({ "check": question, "passed": passed, "detail": detail }))?;
        }
        self.checks.push(Check {
            question,
            passed,
            detail,
        });
        Ok(())
    }

    /// Shows the answer and the checks; whether all passed. A demo that ended before its first step is an error only.
    pub(crate) fn finish(self, answer: &str, failure: Option<&Failure>) -> Result<bool, Failure> {
        let ok = failure.is_none() && !self.checks.is_empty() && self.checks.iter().all(|check| check.passed);
        let total = millis(self.started.elapsed());
        if self.as_json {
            let steps: Vec<Value> = self.steps.iter().map(Step::as_json).collect();
            let checks: Vec<Value> = self.checks.iter().map(Check::as_json).collect();
            let mut last =
                json!({ "ok": ok, "steps": steps, "checks": checks, "answer": answer, "ms": total });
            if let Some(failure) = failure {
                last["error"] = Value::from(failure.to_string());
            }
            output::json(&last)?;
            return Ok(ok);
        }
        if !self.checks.is_empty() {
            line(format_args!("\n{BOLD}Checks{BOLD:#}"))?;
        }
        for check in &self.checks {
            let (style, mark) = if check.passed {
                (GOOD, "✔")
            } else {
                (ERROR, "✘")
            };
            let beside = 4 + QUESTION + 2 + check.detail.chars().count();
            if check.detail.is_empty() || beside > terminal_width().unwrap_or(usize::MAX) {
                line(format_args!(
                    "  {style}{mark}{style:#} {}",
                    folded(check.question, 4)
                ))?;
                if !check.detail.is_empty() {
                    line(format_args!("    {DIM}{}{DIM:#}", folded(&check.detail, 4)))?;
                }
            } else {
                let (question, detail) = (check.question, &check.detail);
                line(format_args!(
                    "  {style}{mark}{style:#} {question:<QUESTION$}  {DIM}{detail}{DIM:#}"
                ))?;
            }
        }
        if let Some(failure) = failure {
            failure.report(false);
        }
        if !self.checks.is_empty() {
            let passed = self.checks.iter().filter(|check| check.passed).count();
            let style = if ok { GOOD } else { ERROR };
            let (all, total) = (self.checks.len(), duration(total));
            line(format_args!(
                "\n{style}{passed} of {all} checks passed{style:#} in {total}."
            ))?;
        }
        Ok(ok)
    }
}

/// The text folded to the terminal's width, with later lines indented. Without a terminal it stays on one line.
fn folded(text: &str, indent: usize) -> String {
    let width = terminal_width().map_or(usize::MAX, |width| width.saturating_sub(indent).max(16));
    let (mut folded, mut used) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > width {
            folded.push('\n');
            folded.extend(std::iter::repeat_n(' ', indent));
            used = 0;
        } else if used > 0 {
            folded.push(' ');
            used += 1;
        }
        folded.push_str(word);
        used += length;
    }
    folded
}

/// The columns of the terminal that standard output is, if it is one.
pub(super) fn terminal_width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
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
