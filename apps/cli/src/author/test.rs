//! `openhuman skills test`.

use std::time::{Duration, Instant};

use openhuman::skills::SkillPackage;
use openhuman::skills::kit::{self, DiffLine, Failure as Reason, FileReport, Outcome, TestFile, TestReport};
use serde_json::json;

use super::watch::Watch;
use super::{Test, show};
use crate::args::Global;
use crate::exit::{Code, Failure, tell};
use crate::output::{self, clean, clean_line, line};
use crate::style::{BOLD, DIM, ERROR, GOOD, WARNING};

pub(super) async fn run(global: &Global, test: &Test) -> Result<(), Failure> {
    if !test.watch {
        return once(global, test).await;
    }
    super::find(&test.dir)?;
    let mut watch = Watch::new(&test.dir);
    loop {
        if let Err(failure) = once(global, test).await {
            failure.report(global.json);
        }
        tell(format_args!("{DIM}waiting for a change; Ctrl-C ends{DIM:#}"));
        let path = watch.changed().await;
        tell(format_args!("\n{DIM}{} changed{DIM:#}\n", path.display()));
    }
}

async fn once(global: &Global, test: &Test) -> Result<(), Failure> {
    let package = super::load(&test.dir)?;
    let files = test_files(&package);
    if files.is_empty() {
        return Err(Failure::new(
            Code::Failed,
            "there are no tests: write them into files that end in .test.js or .test.mjs",
        ));
    }
    let began = Instant::now();
    let mut reports = Vec::new();
    for file in &files {
        let report = kit::run_tests(&package, file, test.filter.as_deref())
            .await
            .map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
        if !global.json && !test.tap {
            print(&report)?;
        }
        reports.push(report);
    }
    let count = Counts::of(&reports);
    if global.json {
        output::json(&json!({
            "passed": count.passed, "failed": count.failed, "skipped": count.skipped, "files": reports,
        }))?;
    } else if test.tap {
        tap(&reports)?;
    } else {
        summary(&count, began.elapsed())?;
    }
    if count.failed == 0 && (count.passed > 0 || test.filter.is_none()) {
        Ok(())
    } else if count.failed == 0 {
        Err(Failure::new(Code::NotFound, "no test has such a name"))
    } else {
        Err(Failure::shown(Code::Failed))
    }
}

fn test_files(package: &SkillPackage) -> Vec<TestFile> {
    let tests = package.files().filter(|(path, _)| kit::is_test(path));
    tests
        .map(|(path, bytes)| TestFile {
            path: path.to_owned(),
            text: String::from_utf8_lossy(bytes).into_owned(),
        })
        .collect()
}

struct Counts {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl Counts {
    fn of(reports: &[FileReport]) -> Self {
        let count = |outcome| {
            let tests = reports.iter().flat_map(|report| &report.tests);
            tests.filter(|test| test.outcome == outcome).count()
        };
        let broken = reports.iter().filter(|report| report.error.is_some()).count();
        Self {
            passed: count(Outcome::Passed),
            failed: count(Outcome::Failed) + broken,
            skipped: count(Outcome::Skipped),
        }
    }
}

fn summary(count: &Counts, took: Duration) -> Result<(), Failure> {
    let mut parts = vec![format!("{GOOD}{} passed{GOOD:#}", count.passed)];
    if count.failed > 0 {
        parts.insert(0, format!("{ERROR}{} failed{ERROR:#}", count.failed));
    }
    if count.skipped > 0 {
        parts.push(format!("{WARNING}{} skipped{WARNING:#}", count.skipped));
    }
    line(format_args!(
        "{}  {DIM}in {:.1} s{DIM:#}",
        parts.join(", "),
        took.as_secs_f64()
    ))
}

fn print(report: &FileReport) -> Result<(), Failure> {
    line(format_args!("{BOLD}{}{BOLD:#}", clean_line(&report.file)))?;
    if let Some(error) = &report.error {
        line(format_args!("  {ERROR}the file cannot be loaded{ERROR:#}"))?;
        show::block("    ", &error.message)?;
        show::places("    ", &error.frames)?;
    }
    for test in &report.tests {
        let name = clean_line(&test.name);
        match test.outcome {
            Outcome::Passed => line(format_args!(
                "  {GOOD}✓{GOOD:#} {name}  {DIM}{} ms{DIM:#}",
                test.duration_ms
            ))?,
            Outcome::Skipped => line(format_args!("  {WARNING}-{WARNING:#} {DIM}{name}{DIM:#}"))?,
            Outcome::Failed => {
                line(format_args!("  {ERROR}✗{ERROR:#} {BOLD}{name}{BOLD:#}"))?;
                if let Some(reason) = &test.failure {
                    print_reason(reason)?;
                }
            }
        }
    }
    line("")
}

fn print_reason(reason: &Reason) -> Result<(), Failure> {
    const INDENT: &str = "      ";
    line("")?;
    show::block(INDENT, &reason.trace.message)?;
    show::places(INDENT, &reason.trace.frames)?;
    if reason.diff.len() > 1 {
        line(format_args!(
            "\n{INDENT}{GOOD}- expected{GOOD:#}  {ERROR}+ found{ERROR:#}"
        ))?;
        for part in &reason.diff {
            match part {
                DiffLine::Same(text) => line(format_args!("{INDENT}  {DIM}{}{DIM:#}", clean_line(text)))?,
                DiffLine::Expected(text) => {
                    line(format_args!("{INDENT}{GOOD}- {}{GOOD:#}", clean_line(text)))?;
                }
                DiffLine::Actual(text) => {
                    line(format_args!("{INDENT}{ERROR}+ {}{ERROR:#}", clean_line(text)))?;
                }
            }
        }
    }
    for request in &reason.unmatched {
        let url = clean_line(&request.url);
        line(format_args!(
            "\n{INDENT}no answer is prepared for {BOLD}{} {url}{BOLD:#}",
            request.method
        ))?;
        for (name, value) in &request.headers {
            line(format_args!(
                "{INDENT}  {DIM}{name}: {}{DIM:#}",
                clean_line(value)
            ))?;
        }
        if let Some(body) = &request.body {
            let shown: String = body.chars().take(300).collect();
            show::block(&format!("{INDENT}  "), &shown)?;
        }
        let address = url.split('?').next().unwrap_or_default();
        line(format_args!(
            "{INDENT}  prepare one: sim.net.on('{} {address}', {{ json: ... }})",
            request.method
        ))?;
    }
    if !reason.logs.is_empty() {
        line(format_args!("\n{INDENT}the skill's log:"))?;
        for entry in &reason.logs {
            show::block(
                &format!("{INDENT}  "),
                &format!("{:5} {}", entry.level, entry.message),
            )?;
        }
    }
    line("")
}

/// <https://testanything.org>, version 13.
fn tap(reports: &[FileReport]) -> Result<(), Failure> {
    line("TAP version 13")?;
    let mut number = 0;
    for report in reports {
        if let Some(error) = &report.error {
            number += 1;
            line(format_args!(
                "not ok {number} - {} loads",
                clean_line(&report.file)
            ))?;
            diagnostics(&error.to_string())?;
        }
        for test in &report.tests {
            number += 1;
            tap_line(number, report, test)?;
        }
    }
    line(format_args!("1..{number}"))
}

fn tap_line(number: usize, report: &FileReport, test: &TestReport) -> Result<(), Failure> {
    let name = clean_line(&format!("{}: {}", report.file, test.name)).replace('#', "");
    match test.outcome {
        Outcome::Passed => line(format_args!("ok {number} - {name}")),
        Outcome::Skipped => line(format_args!("ok {number} - {name} # SKIP")),
        Outcome::Failed => {
            line(format_args!("not ok {number} - {name}"))?;
            match &test.failure {
                Some(reason) => diagnostics(&reason.trace.to_string()),
                None => Ok(()),
            }
        }
    }
}

fn diagnostics(text: &str) -> Result<(), Failure> {
    for part in clean(text).lines() {
        line(format_args!("# {part}"))?;
    }
    Ok(())
}
