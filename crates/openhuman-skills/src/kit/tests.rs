//! Running an author's tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::diff::{DiffLine, diff};
use super::session::Session;
use super::{Hooks, LogLine, SeenRequest, SimulatorError};
use crate::{CallOptions, Engine, Grant, SkillId, SkillPackage, Sources, ToolError, Trace};

const HARNESS: &str = include_str!("js/harness.js");
/// The real time one test may take.
const LIMIT: Duration = Duration::from_secs(60);
/// The last lines of a skill's log that are shown with a failure.
const SHOWN_LOGS: usize = 12;

/// A file of tests.
#[derive(Clone, Debug)]
pub struct TestFile {
    /// Its path inside the package, with forward slashes. `*.test.mjs` is an ES module.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What came of a file.
#[derive(Clone, Debug, Serialize)]
pub struct FileReport {
    /// The file.
    pub file: String,
    /// Why none of its tests could run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Trace>,
    /// Its tests, in their order.
    pub tests: Vec<TestReport>,
}

/// What came of a test.
#[derive(Clone, Debug, Serialize)]
pub struct TestReport {
    /// Its name.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The real time it took, in milliseconds.
    pub duration_ms: u64,
    /// What went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// How a test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Otherwise.
    Failed,
    /// It was left out: by `test.skip`, by another's `test.only`, or by the filter.
    Skipped,
}

/// Why a test failed.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// The message and the place in the test.
    pub trace: Trace,
    /// What was expected against what was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub diff: Vec<DiffLine>,
    /// Requests nothing was prepared for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unmatched: Vec<SeenRequest>,
    /// What the skill logged last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogLine>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    mode: String,
}

#[derive(Deserialize)]
struct Thrown {
    message: String,
    stack: String,
    expected: Option<String>,
    actual: Option<String>,
}

/// Runs the tests of one file against a package: each in a simulation of its own, the file itself in a confined
/// runtime that can do nothing but drive it. Only tests whose name contains `filter` run.
///
/// # Errors
/// [`SimulatorError`] when an engine cannot be built. What is wrong with the file or a test is in the report.
pub async fn run_tests(
    package: &SkillPackage,
    file: &TestFile,
    filter: Option<&str>,
) -> Result<FileReport, SimulatorError> {
    let mut report = FileReport {
        file: file.path.clone(),
        error: None,
        tests: Vec::new(),
    };
    let tests = match test_package(package, file) {
        Ok(tests) => tests,
        Err(error) => {
            report.error = Some(Trace::plain(error.to_string()));
            return Ok(report);
        }
    };
    let session = Arc::new(Session::new(package.clone()));
    let engine = Engine::builder()
        .workers(1)
        .database_threads(1)
        .module(Arc::clone(&session) as Arc<_>)
        .kit(Hooks {
            time: None,
            script: Some(HARNESS),
        })
        .build()?;
    let runner = Runner {
        sources: Sources::new(tests.clone()),
        skill: engine.install(tests, Grant::none()).await?,
        engine,
        session,
    };
    match runner.list().await {
        Err(error) => report.error = Some(error),
        Ok(listed) => {
            let only = listed.iter().any(|test| test.mode == "only");
            for (index, test) in listed.into_iter().enumerate() {
                let wanted = filter.is_none_or(|filter| test.name.contains(filter));
                let runs = wanted && test.mode != "skip" && (!only || test.mode == "only");
                report.tests.push(if runs {
                    runner.run(index, test.name).await
                } else {
                    TestReport {
                        name: test.name,
                        outcome: Outcome::Skipped,
                        duration_ms: 0,
                        failure: None,
                    }
                });
            }
        }
    }
    runner.engine.shutdown().await;
    Ok(report)
}

/// The test file as a skill of its own, which can import the files of the package.
fn test_package(package: &SkillPackage, file: &TestFile) -> Result<SkillPackage, crate::PackageError> {
    let manifest = json!({
        "id": "tests", "name": "Tests", "entry": file.path, "memory_limit_mb": 256, "permissions": {},
    });
    let own = [
        ("manifest.json".to_owned(), manifest.to_string().into_bytes()),
        (file.path.clone(), file.text.clone().into_bytes()),
    ];
    let replaced = |path: &str| own.iter().any(|(own, _)| own == path);
    let others: Vec<_> = package
        .files()
        .filter(|(path, _)| !replaced(path))
        .map(|(path, content)| (path.to_owned(), content.to_vec()))
        .collect();
    SkillPackage::from_files(own.into_iter().chain(others))
}

struct Runner {
    engine: Engine,
    skill: SkillId,
    sources: Sources,
    session: Arc<Session>,
}

impl Runner {
    /// Loads the file and asks for its tests.
    async fn list(&self) -> Result<Vec<Listed>, Trace> {
        let located = |error: String| {
            let mut trace = self.sources.trace(&error);
            // Annotated already; the snippet is made again from the places.
            trace.own();
            trace
        };
        self.engine
            .start(&self.skill)
            .await
            .map_err(|error| match error {
                crate::SkillError::Failed { message, .. } => located(message),
                other => located(other.to_string()),
            })?;
        let text = self
            .tool("list", json!({}))
            .await
            .map_err(|error| located(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| Trace::plain(error.to_string()))
    }

    async fn tool(&self, name: &str, args: Value) -> Result<String, ToolError> {
        let options = CallOptions { timeout: LIMIT };
        let output = self.engine.call_tool(&self.skill, name, args, options).await?;
        Ok(output.text)
    }

    async fn run(&self, index: usize, name: String) -> TestReport {
        let started = Instant::now();
        let outcome = self.tool("run", json!({ "index": index })).await;
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let thrown = match outcome {
            Ok(text) => serde_json::from_str::<Option<Thrown>>(&text).unwrap_or(None),
            Err(ToolError::TimedOut) => Some(Thrown::plain(format!(
                "the test did not end within {} s",
                LIMIT.as_secs()
            ))),
            Err(ToolError::NeverSettles { .. }) => Some(Thrown::plain(
                "the test waits for a promise that nothing can settle".to_owned(),
            )),
            Err(error) => Some(Thrown::plain(error.to_string())),
        };
        let failure = self.judge(thrown).await;
        TestReport {
            name,
            outcome: if failure.is_some() {
                Outcome::Failed
            } else {
                Outcome::Passed
            },
            duration_ms,
            failure,
        }
    }

    /// What is wrong with a test that has run, if anything.
    async fn judge(&self, thrown: Option<Thrown>) -> Option<Failure> {
        let mut state = self.session.state().await;
        let mut simulator = state.simulator.take();
        drop(state);
        let unmatched = simulator
            .as_ref()
            .map(super::Simulator::unmatched)
            .unwrap_or_default();
        let logs = simulator
            .as_mut()
            .map(|simulator| {
                let logs = simulator.logs();
                logs.get(logs.len().saturating_sub(SHOWN_LOGS)..)
                    .unwrap_or_default()
                    .to_vec()
            })
            .unwrap_or_default();
        if let Some(simulator) = simulator {
            simulator.end().await;
        }
        let (trace, diff) = match thrown {
            Some(thrown) => (self.locate(&thrown), thrown.diff()),
            None if unmatched.is_empty() => return None,
            None => (
                Trace::plain("the skill sent a request nothing was prepared for".to_owned()),
                Vec::new(),
            ),
        };
        Some(Failure {
            trace,
            diff,
            unmatched,
            logs,
        })
    }

    fn locate(&self, thrown: &Thrown) -> Trace {
        let places = self.sources.trace(&format!("x\n{}", thrown.stack));
        let mut trace = Trace {
            message: thrown.message.clone(),
            ..places
        };
        trace.own();
        trace
    }
}

impl Thrown {
    fn plain(message: String) -> Self {
        Self {
            message,
            stack: String::new(),
            expected: None,
            actual: None,
        }
    }

    fn diff(&self) -> Vec<DiffLine> {
        match (&self.expected, &self.actual) {
            (Some(expected), Some(actual)) => diff(expected, actual),
            _ => Vec::new(),
        }
    }
}
