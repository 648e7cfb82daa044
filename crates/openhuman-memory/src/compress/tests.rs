use super::lines::{clean, pattern};
use super::*;

fn short(command: &str, text: &str) -> Compressed {
    compress(&ToolOutput {
        tool: "shell",
        command,
        text,
    })
    .unwrap_or_else(|| panic!("{command} was not shortened"))
}

#[test]
fn colours_and_progress_are_not_text() {
    assert_eq!(
        clean("\u{1b}[1;31merror\u{1b}[0m: x\n10%\r50%\r100%\r\nend"),
        "error: x\n100%\nend"
    );
    assert_eq!(clean("\u{1b}"), "");
    assert_eq!(clean("\u{1b}["), "");
}

#[test]
fn patterns_leave_out_what_differs() {
    assert_eq!(
        pattern("10:31:02.5 GET /a/17 200 in 3ms"),
        pattern("11:00:00.1 GET /a/9 404 in 120ms")
    );
    assert_ne!(pattern("GET /a/17"), pattern("PUT /a/17"));
    assert_eq!(pattern(""), "");
}

#[test]
fn short_results_are_left_alone() {
    let output = |text| ToolOutput {
        tool: "",
        command: "",
        text,
    };
    assert_eq!(compress(&output("ok")), None);
    // Nothing in common, nothing to leave out.
    let words: String = (0..120)
        .map(|n| format!("{}{} ", char::from(97 + (n % 26) as u8), n))
        .collect();
    assert!(compress(&output(&words)).is_none_or(|short| short.tokens_after < short.tokens_before));
}

#[test]
fn the_family_is_found_by_the_command_or_by_the_text() {
    let json = format!(
        "[{}]",
        vec![r#"{"id":1,"name":"a long name for an item"}"#; 60].join(",")
    );
    assert_eq!(short("", &json).rule, "json");
    assert_eq!(short("curl x", &json).rule, "json");
    let csv: String = (0..90).map(|n| format!("{n},name {n},{}\n", n * n)).collect();
    assert_eq!(short("", &format!("id,name,square\n{csv}")).rule, "csv");
    let matches: String = (0..90)
        .map(|n| format!("src/file{}.rs:{n}: let x = y;\n", n % 3))
        .collect();
    assert_eq!(short("rg -n 'let x'", &matches).rule, "search");
    assert_eq!(short("FOO=1 /usr/bin/grep -rn x", &matches).rule, "search");
    let unknown: String = (0..90).map(|n| format!("unit {n} is fine\n")).collect();
    assert_eq!(short("frobnicate", &unknown).rule, "general");
}

#[test]
fn what_failed_stays_among_much_that_did_not() {
    let mut text: String = (0..500)
        .map(|n| format!("step {n} ok after {} ms\n", n * 3))
        .collect();
    text.insert_str(3000, "\nERROR: step X could not open /var/lib/x.db (code 17)\n");
    text.push_str("499 passed, 1 failed in 12 s\n");
    let short = short("runner", &text);
    assert!(
        short.text.contains("/var/lib/x.db (code 17)") && short.text.contains("499 passed, 1 failed"),
        "{}",
        short.text
    );
    assert!(short.tokens_after * 10 < short.tokens_before);
}

#[test]
fn any_text_can_be_shortened() {
    let odd = [
        "\u{1b}[",
        "{",
        "[[[[",
        "a:1:",
        "drwxr-xr-x x",
        "commit ",
        "diff --git ",
        "test x ... ok",
        "\r\r\n",
        ",,,\n",
        "\u{10ffff}",
    ];
    for command in ["", "ls", "find", "git log", "git diff", "cargo test", "ps", "rg"] {
        for part in odd {
            let text = part.repeat(2000 / part.len());
            compress(&ToolOutput {
                tool: "t",
                command,
                text: &text,
            });
            let text = format!("{part}\n").repeat(300);
            compress(&ToolOutput {
                tool: "t",
                command,
                text: &text,
            });
        }
    }
}
