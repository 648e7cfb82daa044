//! The table of the official suites says what is there.

use std::path::Path;

const REASONS: [&str; 3] = ["browser", "transport", "types"];

#[test]
fn every_case_is_where_the_table_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let table = std::fs::read_to_string(root.join("tests/SUITES.md")).unwrap();
    let (mut ported, mut left, mut announced, mut rows) = (0, 0, 0, 0);
    let mut wrong = Vec::new();
    for line in table.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            assert_eq!(rows, announced, "before {heading}");
            let number = heading.split('(').nth(1).and_then(|rest| rest.split(')').next());
            announced = number.unwrap().parse().unwrap();
            rows = 0;
            continue;
        }
        let Some(row) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else {
            continue;
        };
        let (title, place) = row.rsplit_once(" | ").unwrap();
        if title == "case" {
            continue;
        }
        rows += 1;
        let path = Path::new(place);
        if path.extension().is_some() {
            ported += 1;
            let source = std::fs::read_to_string(root.join(path)).unwrap_or_default();
            if !source.contains(title) {
                wrong.push(row);
            }
        } else {
            left += 1;
            if !REASONS
                .iter()
                .any(|reason| place == *reason || place.starts_with(&format!("{reason}: ")))
            {
                wrong.push(row);
            }
        }
    }
    assert_eq!(rows, announced, "the last section");
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("{ported} cases ported, {left} left out");
    assert!(
        ported > 250 && left < ported / 3,
        "{ported} ported, {left} left out"
    );
}
