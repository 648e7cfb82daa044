//! `openhuman skills check`.

use openhuman::skills::kit::{self, CheckReport, Finding, Level};
use openhuman::skills::{Frame, PackageError};
use serde_json::json;

use super::{Check, show};
use crate::args::Global;
use crate::exit::{Code, Failure};
use crate::output::{self, clean, clean_line, line};
use crate::skills::asked;
use crate::style::{BOLD, DIM, ERROR, GOOD, TOOL, WARNING};

pub(super) async fn run(global: &Global, check: &Check) -> Result<(), Failure> {
    super::find(&check.dir)?;
    let package = match super::edited(&check.dir) {
        Ok(package) => package,
        Err(error) => return unreadable(global, check, &error),
    };
    let report = kit::check(&package)
        .await
        .map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    let warned = report
        .findings
        .iter()
        .any(|finding| finding.level == Level::Warning);
    let passed = report.passed() && !(check.strict && warned);
    if global.json {
        let mut value = serde_json::to_value(&report)?;
        if let Some(fields) = value.as_object_mut() {
            fields.insert("asks_for".to_owned(), asked(package.manifest()).into());
            fields.insert("passed".to_owned(), passed.into());
        }
        output::json(&value)?;
    } else {
        print(&report, &asked(package.manifest()), passed)?;
    }
    if passed {
        Ok(())
    } else {
        Err(Failure::shown(Code::Failed))
    }
}

/// A package that cannot be read at all.
fn unreadable(global: &Global, check: &Check, error: &PackageError) -> Result<(), Failure> {
    let findings = findings_of(check, error);
    if global.json {
        let findings: Vec<_> = findings
            .iter()
            .map(|(message, place)| json!({ "level": "error", "code": "package", "message": message, "place": place }))
            .collect();
        output::json(&json!({ "passed": false, "findings": findings }))?;
    } else {
        for (message, place) in &findings {
            finding(ERROR, "error", message, None, place.as_ref())?;
        }
    }
    Err(Failure::shown(Code::Failed))
}

fn findings_of(check: &Check, error: &PackageError) -> Vec<(String, Option<Frame>)> {
    let text = std::fs::read_to_string(check.dir.join("manifest.json")).unwrap_or_default();
    if let PackageError::Manifest(manifest) = error {
        let problems = manifest.problems().iter().map(|problem| {
            let at = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
            let place = Frame::in_text("manifest.json", &text, at(problem.line), at(problem.column));
            let message = match problem.path.as_str() {
                "" => format!("the manifest {}", problem.message),
                path => format!("`{path}` {}", problem.message),
            };
            (message, Some(place))
        });
        return problems.collect();
    }
    vec![(error.to_string(), None)]
}

/// Prints a report for people.
fn print(report: &CheckReport, asked: &[String], passed: bool) -> Result<(), Failure> {
    for found in &report.findings {
        print_finding(found)?;
    }
    let version = report.version.as_deref().unwrap_or("no version");
    line(format_args!(
        "{BOLD}{}{BOLD:#} {}  {DIM}{} files, {} KB, loads in {} ms{DIM:#}",
        report.id,
        clean_line(version),
        report.files,
        report.bytes.div_ceil(1024),
        report.load_ms
    ))?;
    for tool in &report.tools {
        line(format_args!(
            "  {TOOL}{}{TOOL:#}  {DIM}{}{DIM:#}",
            clean_line(&tool.name),
            crate::ask::preview(&tool.description)
        ))?;
    }
    if !asked.is_empty() {
        line("  asks for:")?;
    }
    for wish in asked {
        line(format_args!("  - {wish}"))?;
    }
    let count = |level| {
        report
            .findings
            .iter()
            .filter(|finding| finding.level == level)
            .count()
    };
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    if passed && warnings == 0 {
        line(format_args!("{GOOD}ok{GOOD:#}"))
    } else if passed {
        line(format_args!("{GOOD}ok{GOOD:#}, with {warnings} to look at"))
    } else {
        line(format_args!(
            "{ERROR}failed{ERROR:#}: {errors} wrong, {warnings} to look at"
        ))
    }
}

pub(super) fn print_finding(found: &Finding) -> Result<(), Failure> {
    let (style, name) = match found.level {
        Level::Error => (ERROR, "error"),
        Level::Warning => (WARNING, "warning"),
        Level::Note => (BOLD, "note"),
    };
    finding(
        style,
        name,
        &found.message,
        found.help.as_deref(),
        found.place.as_ref(),
    )
}

fn finding(
    style: anstyle::Style,
    name: &str,
    message: &str,
    help: Option<&str>,
    place: Option<&Frame>,
) -> Result<(), Failure> {
    line(format_args!("{style}{name}{style:#}: {}", clean(message)))?;
    if let Some(place) = place {
        show::places("  ", std::slice::from_ref(place))?;
    }
    if let Some(help) = help {
        line(format_args!("  {DIM}help:{DIM:#} {}", clean_line(help)))?;
    }
    line("")
}
