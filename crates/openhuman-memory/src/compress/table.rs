//! Rows and columns.

use super::lines::clip;
use crate::chunk::count_tokens;

const SEPARATORS: [char; 4] = [',', '\t', ';', '|'];

/// Whether every line has as many fields as the first, and there are several of both.
pub(super) fn is_separated(text: &str) -> bool {
    separator(text).is_some()
}

fn separator(text: &str) -> Option<char> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).take(200).collect();
    let first = lines.first()?;
    SEPARATORS.into_iter().find(|separator| {
        let fields = fields(first, *separator).len();
        fields >= 3
            && lines.len() >= 5
            && lines
                .iter()
                .filter(|line| self::fields(line, *separator).len() == fields)
                .count()
                * 20
                >= lines.len() * 19
    })
}

/// Fields; a separator inside of quotes does not count.
fn fields(line: &str, separator: char) -> Vec<&str> {
    let mut fields = Vec::new();
    let (mut start, mut quoted) = (0, false);
    for (at, letter) in line.char_indices() {
        if letter == '"' {
            quoted = !quoted;
        } else if letter == separator && !quoted {
            fields.push(line[start..at].trim());
            start = at + letter.len_utf8();
        }
    }
    fields.push(line[start..].trim());
    fields
}

/// The header, how many rows there are, the range or the most frequent values of each column, and the first and last
/// rows.
pub(super) fn separated(text: &str) -> Option<String> {
    let separator = separator(text)?;
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let (header, rows) = lines.split_first()?;
    let names = fields(header, separator);
    let mut out = format!("{} rows\n{header}\n", rows.len());
    for (column, name) in names.iter().enumerate() {
        let values: Vec<&str> = rows
            .iter()
            .filter_map(|row| fields(row, separator).get(column).copied())
            .collect();
        out.push_str(&format!("{name}: {}\n", described(&values)));
    }
    let shown = rows
        .iter()
        .take(2)
        .chain(rows.iter().skip(rows.len().saturating_sub(2).max(2)));
    for row in shown {
        out.push_str(&clip(row, 300));
        out.push('\n');
    }
    Some(out)
}

fn described(values: &[&str]) -> String {
    let numbers: Vec<f64> = values
        .iter()
        .filter_map(|value| value.trim_matches('"').parse().ok())
        .collect();
    if !numbers.is_empty() && numbers.len() == values.len() {
        let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
        let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        return format!("{least} to {most}");
    }
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for value in values {
        *counts.entry(value).or_default() += 1;
    }
    let different = counts.len();
    let mut frequent: Vec<(usize, &str)> = counts.into_iter().map(|(value, count)| (count, value)).collect();
    frequent.sort_unstable_by(|a, b| b.cmp(a));
    if different * 2 > values.len() {
        return format!("{different} different");
    }
    let shown: Vec<String> = frequent
        .iter()
        .take(5)
        .map(|(count, value)| format!("{} ×{count}", clip(value, 40)))
        .collect();
    format!("{different} different: {}", shown.join(", "))
}

/// `ps`, `df`, `du`: the header, the rows with the largest numbers, and how often each last word occurs.
pub(super) fn columns(text: &str, budget: usize) -> Option<String> {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let (header, rows) = lines.split_first()?;
    if rows.len() < 4 {
        return None;
    }
    let titled = !header.chars().any(|letter| letter.is_ascii_digit());
    let rows = if titled { rows } else { &lines[..] };
    let mut order: Vec<(f64, usize)> = rows
        .iter()
        .enumerate()
        .map(|(place, row)| (weight(row, header), place))
        .collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut out = format!("{} rows, the largest first\n", rows.len());
    if titled {
        out.push_str(&squeezed(header));
        out.push('\n');
    }
    let mut tokens = 0;
    let mut shown = 0;
    for (_, place) in &order {
        let line = clip(&squeezed(rows[*place]), 160);
        tokens += count_tokens(&line) + 1;
        if tokens > budget / 2 && shown >= 3 {
            break;
        }
        shown += 1;
        out.push_str(&line);
        out.push('\n');
    }
    let names: Vec<String> = order[shown..]
        .iter()
        .map(|(_, place)| name(rows[*place], header))
        .collect();
    let mut counts: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for name in &names {
        *counts.entry(name).or_default() += 1;
    }
    let mut frequent: Vec<(usize, &str)> = counts.into_iter().map(|(name, count)| (count, name)).collect();
    frequent.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    let mut rest = format!("{} more:", names.len());
    let mut tokens = 0;
    for (count, name) in frequent {
        let part = if count > 1 {
            format!(" {name}×{count}")
        } else {
            format!(" {name}")
        };
        tokens += count_tokens(&part);
        if tokens > budget / 2 {
            rest.push_str(" …");
            break;
        }
        rest.push_str(&part);
    }
    if !names.is_empty() {
        out.push_str(&rest);
        out.push('\n');
    }
    Some(out)
}

/// What rows are ordered by: processor and memory of a process, else the first number.
fn weight(row: &str, header: &str) -> f64 {
    let columns: Vec<&str> = row.split_whitespace().collect();
    let titles: Vec<&str> = header.split_whitespace().collect();
    let number = |title: &str| {
        let place = titles.iter().position(|found| *found == title)?;
        columns.get(place)?.trim_end_matches('%').parse::<f64>().ok()
    };
    if let (Some(cpu), Some(memory)) = (number("%CPU"), number("%MEM")) {
        return cpu + memory;
    }
    if let Some(used) = number("Use%") {
        return used;
    }
    columns.iter().find_map(|column| size(column)).unwrap_or(0.0)
}

fn size(column: &str) -> Option<f64> {
    let (digits, unit) = column.split_at(
        column
            .find(|c: char| c.is_ascii_alphabetic())
            .unwrap_or(column.len()),
    );
    let factor = match unit {
        "" => 1.0,
        "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        _ => return None,
    };
    digits.parse::<f64>().ok().map(|number| number * factor)
}

/// The last column of a row by its header, without arguments and directories.
fn name(row: &str, header: &str) -> String {
    let titles = header.split_whitespace().count();
    let mut words = row.split_whitespace();
    let last = words
        .nth(titles.saturating_sub(1))
        .or_else(|| row.split_whitespace().last());
    let last = last.unwrap_or_default();
    last.rsplit('/').next().unwrap_or(last).to_owned()
}

fn squeezed(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
