//! Reads a Markdown or plain text into the sentences that may be quoted, each with the headings above it.
//!
//! Headings, code, front matter and comments are never sentences. A row of a table becomes "column: value" pairs.

mod syntax;

use super::sentence;
use syntax::{
    Fence, atx_heading, cells, front_matter, is_break, is_definition, is_delimiter_row, is_markup, list_item,
    underline, unquoted,
};

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

#[cfg(test)]
mod tests;
