//! The difference of two texts, line by line.

use serde::Serialize;

/// Texts with more lines than this are shown one after the other.
const MAX_LINES: usize = 400;

/// A line of a difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", content = "text", rename_all = "lowercase")]
pub enum DiffLine {
    /// In both texts.
    Same(String),
    /// Only in what was expected.
    Expected(String),
    /// Only in what was found.
    Actual(String),
}

/// The lines of both texts, in an order in which the common ones stand once.
#[must_use]
pub(super) fn diff(expected: &str, actual: &str) -> Vec<DiffLine> {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), actual.lines().collect());
    let own = |line: &&str| (*line).to_owned();
    if old.len() > MAX_LINES || new.len() > MAX_LINES {
        let expected = old
            .iter()
            .take(MAX_LINES)
            .map(|line| DiffLine::Expected(own(line)));
        let actual = new.iter().take(MAX_LINES).map(|line| DiffLine::Actual(own(line)));
        return expected.chain(actual).collect();
    }
    // The length of the longest common part of what follows each pair of places.
    let width = new.len() + 1;
    let mut common = vec![0_u16; (old.len() + 1) * width];
    let at = |i: usize, j: usize| i * width + j;
    for (i, left) in old.iter().enumerate().rev() {
        for (j, right) in new.iter().enumerate().rev() {
            let value = if left == right {
                get(&common, at(i + 1, j + 1)) + 1
            } else {
                get(&common, at(i + 1, j)).max(get(&common, at(i, j + 1)))
            };
            if let Some(place) = common.get_mut(at(i, j)) {
                *place = value;
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut lines = Vec::new();
    loop {
        match (old.get(i), new.get(j)) {
            (Some(left), Some(right)) if left == right => {
                lines.push(DiffLine::Same(own(left)));
                (i, j) = (i + 1, j + 1);
            }
            (Some(left), right)
                if right.is_none() || get(&common, at(i + 1, j)) >= get(&common, at(i, j + 1)) =>
            {
                lines.push(DiffLine::Expected(own(left)));
                i += 1;
            }
            (_, Some(right)) => {
                lines.push(DiffLine::Actual(own(right)));
                j += 1;
            }
            _ => return lines,
        }
    }
}

fn get(table: &[u16], index: usize) -> u16 {
    table.get(index).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_lines_stand_once() {
        let lines = diff("{\n  a: 1,\n  b: 2,\n}", "{\n  a: 1,\n  b: 3,\n  c: 4,\n}");
        let shown: Vec<String> = lines
            .iter()
            .map(|line| match line {
                DiffLine::Same(text) => format!(" {text}"),
                DiffLine::Expected(text) => format!("-{text}"),
                DiffLine::Actual(text) => format!("+{text}"),
            })
            .collect();
        assert_eq!(
            shown,
            [" {", "   a: 1,", "-  b: 2,", "+  b: 3,", "+  c: 4,", " }"]
        );
        assert_eq!(diff("a", "a"), [DiffLine::Same("a".into())]);
        assert_eq!(diff("", "a"), [DiffLine::Actual("a".into())]);
        assert_eq!(diff(&"x\n".repeat(1000), "y").len(), MAX_LINES + 1);
    }
}
