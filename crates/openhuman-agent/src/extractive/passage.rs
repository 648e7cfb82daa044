//! Reads a Markdown or plain text into the sentences that may be quoted, each with the headings above it.
//!
//! Headings, code, front matter and comments are never sentences. A row of a table becomes "column: value" pairs.

use super::sentence;

/// The longest heading whose words count, in characters.
const HEADING_CHARS: usize = 200;
/// A text is not wrapped to fewer characters than this.
const NARROWEST: usize = 45;
/// How many items above a nested one count as its headings.
const MAX_PARENTS: usize = 4;
/// A list item of at most this many words is a label when other items are below it.
const LABEL_WORDS: usize = 4;
/// The level of a line that announces the list below it: inside all headings.
const LABEL_LEVEL: usize = 7;

/// A sentence, or a row of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// On one line, without Markdown's marks.
    pub(super) text: String,
    /// The index in [`Passage::headings`].
    pub(super) heading: usize,
    /// Made of a row of a table.
    pub(super) is_row: bool,
}

/// What stands above some sentences.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Headings {
    /// The nearest heading, list label or row of column names.
    pub(super) near: String,
    /// The headings above that one.
    pub(super) far: String,
}

#[derive(Debug, Default)]
pub(super) struct Passage {
    pub(super) units: Vec<Unit>,
    pub(super) headings: Vec<Headings>,
}

impl Passage {
    /// Reads a text; every text can be read.
    pub(super) fn read(text: &str) -> Passage {
        let lines: Vec<&str> = text.trim_start_matches('\u{feff}').lines().collect();
        let mut reader = Reader {
            passage: Passage::default(),
            open: Vec::new(),
            items: Vec::new(),
            block: Block::default(),
            label_is_used: true,
        };
        reader.passage.headings.push(Headings::default());
        reader.read(&lines);
        reader.flush(false);
        reader.passage
    }
}

/// The paragraph or list item that is being read.
#[derive(Default)]
struct Block<'a> {
    lines: Vec<&'a str>,
    /// The column of the mark of a list item.
    item: Option<usize>,
}

impl Block<'_> {
    /// Whether a line of signs below it makes it a heading.
    fn is_title(&self) -> bool {
        self.lines.len() == 1 && self.item.is_none()
    }

    /// The lines joined, with `\n` where the author broke the line and not the width of the page.
    fn text(&self) -> String {
        let chars = |line: &str| line.trim().chars().count();
        let widest = self
            .lines
            .iter()
            .map(|line| chars(line))
            .max()
            .unwrap_or_default();
        let width = widest.max(NARROWEST);
        let mut text = String::new();
        let mut before: Option<&str> = None;
        for line in &self.lines {
            let trimmed = line.trim();
            if let Some(before) = before {
                let first_word = trimmed.split_whitespace().next().unwrap_or_default();
                let starts_anew = !trimmed.starts_with(char::is_lowercase);
                let had_room = chars(before) + 1 + chars(first_word) <= width;
                let hard = before.ends_with("  ") || before.ends_with('\\');
                text.push(if hard || (had_room && starts_anew) {
                    '\n'
                } else {
                    ' '
                });
            }
            text.push_str(trimmed.trim_end_matches('\\'));
            before = Some(line);
        }
        text
    }
}

struct Reader<'a> {
    passage: Passage,
    /// The open headings, with their levels.
    open: Vec<(usize, String)>,
    /// The list items that enclose the next one, with their columns.
    items: Vec<(usize, String)>,
    block: Block<'a>,
    /// Whether something stands below the line that announced it.
    label_is_used: bool,
}

impl<'a> Reader<'a> {
    fn read(&mut self, lines: &[&'a str]) {
        let mut at = front_matter(lines);
        let mut fences = 0;
        let mut comments_end = true;
        while let Some(raw) = lines.get(at) {
            at += 1;
            let line = unquoted(raw);
            let text = line.trim();
            if text.is_empty() {
                self.flush(false);
            } else if let Some(fence) = Fence::open(text) {
                self.flush(false);
                fences += 1;
                let close = lines
                    .iter()
                    .skip(at)
                    .position(|line| fence.closes(unquoted(line).trim()));
                match close {
                    Some(close) => at += close + 1,
                    // A passage may start inside a block of code: then this is the end of it.
                    None if fences == 1 && fence.is_bare => {}
                    None => return,
                }
            } else if text.starts_with("<!--") && comments_end {
                self.flush(false);
                match lines.iter().skip(at - 1).position(|line| line.contains("-->")) {
                    Some(end) => at += end,
                    None => comments_end = false,
                }
            } else if let Some((level, title)) = atx_heading(line) {
                self.flush(false);
                self.heading(level, title);
            } else if let Some(level) = underline(text).filter(|_| self.block.is_title()) {
                let title = std::mem::take(&mut self.block).text();
                self.heading(level, &title);
            } else if is_break(text) || is_markup(text) || is_definition(text) {
                self.flush(false);
            } else if lines
                .get(at)
                .is_some_and(|next| text.contains('|') && is_delimiter_row(next))
            {
                self.flush(false);
                at = self.table(text, lines, at + 1);
            } else if text.starts_with('|') {
                // A row whose column names are not in this passage.
                self.flush(false);
            } else {
                self.line(line);
            }
        }
    }

    /// A line of a paragraph or of a list.
    fn line(&mut self, line: &'a str) {
        let in_paragraph = !self.block.lines.is_empty() && self.block.item.is_none();
        if let Some((column, rest)) = list_item(line, in_paragraph) {
            self.flush(self.block.item.is_none_or(|above| above < column));
            self.items.retain(|(above, _)| *above < column);
            self.block.item = Some(column);
            self.label_is_used = true;
            self.block.lines.push(rest);
        } else {
            if self.block.lines.is_empty() && !line.starts_with([' ', '\t']) {
                // A new paragraph at the margin ends the list and what announced it.
                self.items.clear();
                if std::mem::replace(&mut self.label_is_used, true) {
                    self.open.retain(|(level, _)| *level < LABEL_LEVEL);
                }
            }
            self.block.lines.push(line);
        }
    }

    /// Ends the paragraph or item; `before_list` when a list, or a nested one, follows at once.
    fn flush(&mut self, before_list: bool) {
        let block = std::mem::take(&mut self.block);
        if block.lines.is_empty() {
            return;
        }
        let text = block.text();
        let mut sentences = sentence::split(&text);
        let short = sentences.len() == 1 && text.split_whitespace().nth(LABEL_WORDS).is_none();
        let announces = sentences.last().is_some_and(|last| last.ends_with(':'));
        let label = match block.item {
            Some(_) if before_list && (announces || short) => sentences.pop(),
            None if announces => sentences.pop(),
            _ => None,
        };
        let heading = self.headings(None);
        for text in sentences {
            self.passage.units.push(Unit {
                text,
                heading,
                is_row: false,
            });
        }
        if let Some(column) = block.item {
            self.items.push((column, shortened(&text)));
            if self.items.len() > MAX_PARENTS {
                self.items.remove(0);
            }
        } else if let Some(label) = label {
            self.heading(LABEL_LEVEL, &label);
            self.label_is_used = false;
        }
    }

    fn heading(&mut self, level: usize, title: &str) {
        self.items.clear();
        self.open.retain(|(above, _)| *above < level);
        self.open.push((level, shortened(title)));
    }

    /// The index of the headings that are open now, with the column names of a table as the nearest.
    fn headings(&mut self, columns: Option<&str>) -> usize {
        let mut above: Vec<&str> = self.open.iter().map(|(_, title)| title.as_str()).collect();
        above.extend(self.items.iter().map(|(_, text)| text.as_str()));
        above.extend(columns);
        let near = above.pop().unwrap_or_default().to_owned();
        let headings = Headings {
            near,
            far: above.join("\n"),
        };
        if self.passage.headings.last() != Some(&headings) {
            self.passage.headings.push(headings);
        }
        self.passage.headings.len() - 1
    }

    /// Reads the rows below a table's column names, and says at which line it ends.
    fn table(&mut self, header: &str, lines: &[&str], mut at: usize) -> usize {
        let columns = cells(header);
        let heading = self.headings(Some(&shortened(&columns.join(" "))));
        while let Some(row) = lines.get(at).map(|line| unquoted(line).trim()) {
            if !row.contains('|') {
                break;
            }
            at += 1;
            let mut text = String::new();
            for (index, cell) in cells(row).iter().enumerate().filter(|(_, cell)| !cell.is_empty()) {
                let column = columns.get(index).map_or("", String::as_str);
                if !text.is_empty() {
                    text.push_str("; ");
                }
                if !column.is_empty() {
                    text.push_str(column);
                    text.push_str(": ");
                }
                text.push_str(cell);
            }
            if text.contains(char::is_alphanumeric) {
                self.passage.units.push(Unit {
                    text,
                    heading,
                    is_row: true,
                });
            }
        }
        at
    }
}

fn shortened(title: &str) -> String {
    sentence::plain(title).chars().take(HEADING_CHARS).collect()
}

/// How many lines the front matter takes.
fn front_matter(lines: &[&str]) -> usize {
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
fn unquoted(line: &str) -> &str {
    let mut rest = line;
    while let Some(inner) = rest.trim_start().strip_prefix('>') {
        rest = inner.strip_prefix(' ').unwrap_or(inner);
    }
    rest
}

struct Fence {
    mark: char,
    length: usize,
    is_bare: bool,
}

impl Fence {
    fn open(text: &str) -> Option<Fence> {
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

    fn closes(&self, text: &str) -> bool {
        text.len() >= self.length && text.chars().all(|mark| mark == self.mark)
    }
}

fn atx_heading(line: &str) -> Option<(usize, &str)> {
    let text = line.trim();
    let title = text.trim_start_matches('#');
    let level = text.len() - title.len();
    let is_heading = (1..=6).contains(&level) && (title.is_empty() || title.starts_with([' ', '\t']));
    is_heading.then(|| (level, title.trim_end_matches('#').trim()))
}

/// The level of the heading that a line of `=` or `-` makes of the line above.
fn underline(text: &str) -> Option<usize> {
    let all = |mark: char| text.len() >= 2 && text.chars().all(|c| c == mark);
    if all('=') { Some(1) } else { all('-').then_some(2) }
}

/// A line of signs only: a thematic break, or decoration.
fn is_break(text: &str) -> bool {
    !text.contains(char::is_alphanumeric)
}

/// A line of HTML tags without a text between them.
fn is_markup(text: &str) -> bool {
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
fn is_definition(text: &str) -> bool {
    text.starts_with('[')
        && !text.starts_with("[^")
        && text
            .split_once("]: ")
            .is_some_and(|(label, address)| !label.contains(' ') && !address.trim().contains(' '))
}

/// The second line of a table: dashes and colons between bars.
fn is_delimiter_row(line: &str) -> bool {
    let line = unquoted(line).trim();
    line.contains('-')
        && line.contains('|')
        && line.chars().all(|c| matches!(c, '|' | '-' | ':' | ' ' | '\t'))
}

/// The cells of a row, without marks. A bar after a backslash is part of its cell.
fn cells(row: &str) -> Vec<String> {
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
fn list_item(line: &str, in_paragraph: bool) -> Option<(usize, &str)> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        Passage::read(text)
            .units
            .into_iter()
            .map(|unit| unit.text)
            .collect()
    }

    /// Each sentence with the headings above it, nearest last.
    fn outline(text: &str) -> Vec<(String, String)> {
        let passage = Passage::read(text);
        passage
            .units
            .iter()
            .map(|unit| {
                let headings = &passage.headings[unit.heading];
                (
                    unit.text.clone(),
                    format!("{}\n{}", headings.far, headings.near)
                        .trim()
                        .replace('\n', " / "),
                )
            })
            .collect()
    }

    fn pair(a: &str, b: &str) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }

    #[test]
    fn headings_are_above_their_sentences_and_not_among_them() {
        assert_eq!(
            outline(
                "Intro.\n# Plans\nBuy milk.\n\n## Staking ##\nStake 32 ETH.\n# Other\nRest.\n\nTitle\n===\nBelow it.\n\nSub\n---\nDeep."
            ),
            [
                pair("Intro.", ""),
                pair("Buy milk.", "Plans"),
                pair("Stake 32 ETH.", "Plans / Staking"),
                pair("Rest.", "Other"),
                pair("Below it.", "Title"),
                pair("Deep.", "Title / Sub"),
            ]
        );
        assert_eq!(texts("# Only\n## Headings\n"), Vec::<String>::new());
        assert_eq!(texts("#hashtag is text"), ["#hashtag is text"]);
    }

    #[test]
    fn wrapped_lines_are_joined_and_short_lines_are_not() {
        assert_eq!(
            texts("The barrel holds two hundred litres and it\nlasts nine days. Then it is\nempty."),
            [
                "The barrel holds two hundred litres and it lasts nine days.",
                "Then it is empty."
            ]
        );
        assert_eq!(
            texts("Buy milk\nCall Bob\n+49 30 1234"),
            ["Buy milk", "Call Bob", "+49 30 1234"]
        );
    }

    #[test]
    fn a_line_that_had_room_for_the_next_word_is_a_sentence() {
        assert_eq!(
            texts(
                "Sara wants the report by the end of the month\nWe moved the launch from June to September because it is late"
            ),
            [
                "Sara wants the report by the end of the month",
                "We moved the launch from June to September because it is late"
            ]
        );
        assert_eq!(
            texts(
                "Die Tomaten pflanze ich im Mai, und dann kommen die\nGurken und der Salat an den Zaun vor dem\nGewächshaus."
            ),
            [
                "Die Tomaten pflanze ich im Mai, und dann kommen die Gurken und der Salat an den Zaun vor dem Gewächshaus."
            ]
        );
        assert_eq!(texts("one  \ntwo\\\nthree"), ["one", "two", "three"]);
    }

    #[test]
    fn list_items_lose_their_marks() {
        assert_eq!(
            texts(
                "- one thing here\n* [x] done thing\n3) third thing\n• **bold** thing\n  that goes on\n\n1. x"
            ),
            [
                "one thing here",
                "done thing",
                "third thing",
                "bold thing that goes on",
                "x"
            ]
        );
        assert_eq!(
            texts("It was in the spring of the year that followed\n2019. Or so."),
            ["It was in the spring of the year that followed 2019.", "Or so."]
        );
    }

    #[test]
    fn what_announces_a_list_is_its_heading() {
        assert_eq!(
            outline("Before I stake:\n\n- write the phrase on paper\n- test it\n\nLater."),
            [
                pair("write the phrase on paper", "Before I stake:"),
                pair("test it", "Before I stake:"),
                pair("Later.", ""),
            ]
        );
        assert_eq!(
            outline("It is easy. Do this now:\n```\ncode\n```\n- one\n\nLater."),
            [
                pair("It is easy.", ""),
                pair("one", "Do this now:"),
                pair("Later.", "")
            ]
        );
        assert_eq!(
            outline("- Staking\n  - 32 ETH in June\n  - at home\n- Garden work is nice."),
            [
                pair("32 ETH in June", "Staking"),
                pair("at home", "Staking"),
                pair("Garden work is nice.", ""),
            ]
        );
    }

    #[test]
    fn rows_are_pairs_with_the_names_of_their_columns() {
        let table =
            "| | solo | pool |\n|---|:--|---|\n| amount | 32 ETH | any |\n| a\\|b | | **x** |\n\nText.";
        let passage = Passage::read(table);
        let rows: Vec<(&str, bool)> = passage
            .units
            .iter()
            .map(|unit| (unit.text.as_str(), unit.is_row))
            .collect();
        assert_eq!(
            rows,
            [
                ("amount; solo: 32 ETH; pool: any", true),
                ("a|b; pool: x", true),
                ("Text.", false)
            ]
        );
        assert_eq!(texts("| cut | off |\n| rows | here |\n\nText."), ["Text."]);
    }

    #[test]
    fn code_front_matter_comments_and_markup_are_left_out() {
        assert_eq!(texts("---\ntitle: Secret\ntags: [a]\n---\nBody."), ["Body."]);
        assert_eq!(texts("\u{feff}+++\na = 1\n+++\nBody."), ["Body."]);
        assert_eq!(
            texts("---\n\nNot front matter.\n\n---\nEnd."),
            ["Not front matter.", "End."]
        );
        assert_eq!(
            texts("Before.\n```sh\nrm -rf staking\n```\nAfter.\n~~~\ncode\n```\n~~~\nEnd."),
            ["Before.", "After.", "End."]
        );
        assert_eq!(texts("Before.\n```sh\nnever closed"), ["Before."]);
        assert_eq!(texts("tail of code\n```\nAfter."), ["tail of code", "After."]);
        assert_eq!(
            texts("<!-- hidden\nstill -->\nSeen.\n<!-- never closed\nSeen too."),
            ["Seen.", "Seen too."]
        );
        assert_eq!(
            texts("<br>\n<p align=\"x\"></p>\n[a]: https://example.org\nText."),
            ["Text."]
        );
        assert_eq!(
            texts("> quoted text.\n> > # Inner\n> > more."),
            ["quoted text.", "more."]
        );
    }
}
