//! The second prompt: this very program, started anew, opens the vault again and answers from its memory.

use std::process::Stdio;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::LATER;
use super::scene::Scene;
use super::timeline::Timeline;
use crate::exit::{Code, Failure};

/// Runs `openhuman ask --json` in a process of its own. The password goes through its standard input.
pub(crate) async fn ask_again(scene: &Scene, timeline: &mut Timeline) -> Result<(), Failure> {
    let program = std::env::current_exe()?;
    let model = scene.model();
    let mut command = Command::new(program);
    command
        .args(["ask", "--json", "--password-fd", "0", LATER])
        .env("OPENHUMAN_HOME", scene.home())
        .env("OPENAI_BASE_URL", &model.base_url)
        .env("OPENAI_MODEL", &model.model)
        .env_remove("OPENHUMAN_SKILLS_DIR")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(scene.password().as_bytes()).await?;
        stdin.write_all(b"\n").await?;
    }
    let output = child.wait_with_output().await?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(Failure::new(
            Code::Failed,
            format!("the second process failed: {}", said.trim()),
        ));
    }
    let lines = String::from_utf8_lossy(&output.stdout);
    let answer = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .find(|event| event["type"] == "chat.done")
        .and_then(|event| event["answer"].as_str().map(str::to_owned))
        .ok_or_else(|| Failure::new(Code::Failed, "the second process gave no answer"))?;
    timeline.step(
        "recall",
        format!("a new process opened the vault and was asked: {LATER}"),
    )?;
    timeline.check(
        "a new process recalls the price and the note from the memory",
        scene.is_recalled_by(&answer),
        "",
    )?;
    Ok(())
}
