//! The baseline: node's worker threads with the same small skill.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::skills::SMALL;
use crate::{Figures, Outcome};

const SCRIPT: &str = include_str!("worker.mjs");

pub(crate) fn worker() -> Outcome {
    let mut child = Command::new("node")
        .args(["--input-type=module", "-e", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start node, the baseline: {error}"))?;
    child
        .stdin
        .take()
        .ok_or("node has no input")?
        .write_all(SMALL.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(format!("node ended with {}", output.status).into());
    }
    let figures: Figures = serde_json::from_slice(&output.stdout)?;
    Ok(figures)
}
