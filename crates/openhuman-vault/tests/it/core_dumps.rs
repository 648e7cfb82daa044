//! A process that asked for it leaves no core dump.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

const TEST: &str = "core_dumps::a_process_that_asked_for_it_leaves_no_core_dump";
const INSIDE: &str = "OPENHUMAN_TEST_CORE_DUMPS";

fn core_limit() -> String {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size"));
    line.unwrap()
        .split_whitespace()
        .skip(4)
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn a_process_that_asked_for_it_leaves_no_core_dump() {
    if std::env::var_os(INSIDE).is_some() {
        openhuman_vault::forbid_core_dumps().unwrap();
        openhuman_vault::forbid_core_dumps().unwrap();
        assert_eq!(core_limit(), "0 0");
        std::process::abort();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!text.contains("panicked"), "{text}");
    assert_eq!(output.status.signal(), Some(6), "it ended by abort: {text}");
    assert!(!output.status.core_dumped());
}
