//! The signs of Markdown, line by line.

use super::super::sentence;

/// How many lines the front matter takes.
pub(super) fn front_matter(lines: &[&str]) -> usize {
    let Some(mark @ ("---" | "+++")) = lines.first().map(|line| line.trim_end()) else {
        return 0;
    };
    let field = if mark == "---" { ':' } else { '=' };
    if !lines
        .get(1)
        .is_some_and(|line| line.contains(field) || line.starts_with('#'))
    {
        return 0;
    }
    let end = lines
        .iter()
        .skip(1)
        .position(|line| matches!(line.trim_end(), end if end == mark || (mark == "---" && end == "...")));
    end.map_or(0, |end| end + 2)
}

/// A line without the marks of a block quote.
pub(super) fn unquoted(line: &str) -> &str {
    let mut rest = line;
    while let Some(inner) = rest.trim_start().strip_prefix('>') {
        rest = inner.strip_prefix(' ').unwrap_or(inner);
    }
    rest
}

/// The marks that open a block of code.
pub(super) struct Fence {
    mark: char,
    length: usize,
    /// No language is named behind it.
    pub(super) is_bare: bool,
}

impl Fence {
    pub(super) fn open(text: &str) -> Option<Fence> {
        let mark = text.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
        let info = text.trim_start_matches(mark);
        let length = text.len() - info.len();
        let fence = Fence {
            mark,
            length,
            is_bare: info.trim().is_empty(),
        };
        (length >= 3 && !(mark == '`' && info.contains('`'))).then_some(fence)
    }

    pub(super) fn closes(&self, text: &str) -> bool {
        text.len() >= self.length && text.chars().all(|mark| mark == self.mark)
    }
}

pub(super) fn atx_heading(line: &str) -> Option<(usize, &str)> {
    let text = line.trim();
    let title = text.trim_start_matches('#');
    let level = text.len() - title.len();
    let is_heading = (1..=6).contains(&level) && (title.is_empty() || title.starts_with([' ', '\t']));
    is_heading.then(|| (level, title.trim_end_matches('#').trim()))
}

/// The level of the heading that a line of `=` or `-` makes of the line above.
pub(super) fn underline(text: &str) -> Option<usize> {
    let all = |mark: char| text.len() >= 2 && text.chars().all(|c| c == mark);
    if all('=') { Some(1) } else { all('-').then_some(2) }
}

/// A line of signs only: a thematic break, or decoration.
pub(super) fn is_break(text: &str) -> bool {
    !text.contains(char::is_alphanumeric)
}

/// A line of HTML tags without a text between them.
pub(super) fn is_markup(text: &str) -> bool {
    if !(text.starts_with('<') && text.ends_with('>')) {
        return false;
    }
    let mut inside = false;
    !text.chars().any(|c| {
        match c {
            '<' => inside = true,
            '>' => inside = false,
            _ => {}
        }
        !inside && c.is_alphanumeric()
    })
}

/// `[label]: address`, which is not shown.
pub(super) fn is_definition(text: &str) -> bool {
    text.starts_with('[')
        && !text.starts_with("[^")
        && text
            .split_once("]: ")
            .is_some_and(|(label, address)| !label.contains(' ') && !address.trim().contains(' '))
}

/// The second line of a table: dashes and colons between bars.
pub(super) fn is_delimiter_row(line: &str) -> bool {
    let line = unquoted(line).trim();
    line.contains('-')
        && line.contains('|')
        && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ' | '\t'))
}

/// The cells of a row, without marks. A bar after a backslash is part of its cell.
pub(super) fn cells(row: &str) -> Vec<String> {
    let row = row.trim();
    let row = row.strip_prefix('|').unwrap_or(row);
    let mut cells = vec![String::new()];
    let mut escaped = false;
    for c in row.chars() {
        match cells.last_mut() {
            Some(cell) if c != '|' || escaped => {
                if escaped && c == '|' {
                    cell.pop();
                }
                cell.push(c);
            }
            _ => cells.push(String::new()),
        }
        escaped = c == '\\' && !escaped;
    }
    cells.iter().map(|cell| sentence::plain(cell)).collect()
}

/// The column of a list item's mark and the text after it.
pub(super) fn list_item(line: &str, in_paragraph: bool) -> Option<(usize, &str)> {
    let text = line.trim_start();
    let indent = line.get(..line.len() - text.len()).unwrap_or_default();
    let column = indent.chars().map(|c| if c == '\t' { 4 } else { 1 }).sum();
    let rest = if let Some(rest) = text.strip_prefix(['-', '*', '+', '•', '◦', '▪', '‣', '–', '·'])
    {
        rest
    } else {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let digits = text.get(..text.len() - rest.len()).unwrap_or_default();
        // Inside a paragraph only "1." is the start of a list; "in the year\n2019. Then" is not.
        if !(1..=3).contains(&digits.len()) || (in_paragraph && digits != "1") {
            return None;
        }
        rest.strip_prefix(['.', ')'])?
    };
    let rest = rest.strip_prefix([' ', '\t'])?.trim();
    let box_marks = ["[ ] ", "[x] ", "[X] "];
    let rest = box_marks
        .iter()
        .find_map(|mark| rest.strip_prefix(mark))
        .unwrap_or(rest);
    Some((column, rest))
}
