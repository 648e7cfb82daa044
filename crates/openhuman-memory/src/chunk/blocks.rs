//! The outline of a Markdown text: headings, paragraphs, fenced code and tables, by line.

/// The longest heading kept in a heading path, in characters.
const HEADING_CHARS: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlockKind {
    Heading,
    Paragraph,
    /// A fenced code block or a table.
    Atomic,
}

/// A block reaches to the start of the next one; blank lines belong to the block before them.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) start: usize,
    pub(super) kind: BlockKind,
    path: usize,
}

#[derive(Debug)]
pub(super) struct Outline {
    pub(super) blocks: Vec<Block>,
    paths: Vec<Vec<String>>,
}

impl Outline {
    pub(super) fn new(text: &str) -> Self {
        let mut scan = Scan {
            outline: Self {
                blocks: Vec::new(),
                paths: vec![Vec::new()],
            },
            open: Vec::new(),
        };
        let lines: Vec<(usize, &str)> = lines(text).collect();
        let mut index = 0;
        let mut in_paragraph = false;
        while let Some(&(start, line)) = lines.get(index) {
            let rest = lines.get(index + 1..).unwrap_or_default();
            index += 1;
            if line.trim().is_empty() {
                in_paragraph = false;
            } else if let Some((level, title)) = heading(line) {
                scan.heading(start, level, title);
                in_paragraph = false;
            } else if let Some(fence) = Fence::open(line) {
                scan.block(start, BlockKind::Atomic);
                index += rest
                    .iter()
                    .position(|(_, line)| fence.closes(line))
                    .map_or(rest.len(), |at| at + 1);
                in_paragraph = false;
            } else if line.contains('|') && rest.first().is_some_and(|(_, next)| is_delimiter_row(next)) {
                scan.block(start, BlockKind::Atomic);
                index += rest.iter().take_while(|(_, line)| line.contains('|')).count();
                in_paragraph = false;
            } else if !in_paragraph {
                scan.block(start, BlockKind::Paragraph);
                in_paragraph = true;
            }
        }
        let mut outline = scan.outline;
        match outline.blocks.first_mut() {
            Some(first) => first.start = 0,
            None => outline.blocks.push(Block {
                start: 0,
                kind: BlockKind::Paragraph,
                path: 0,
            }),
        }
        outline
    }

    /// The headings above a byte offset, outermost first; a heading counts for its own line too.
    pub(super) fn heading_at(&self, offset: usize) -> &[String] {
        let block = self
            .blocks
            .partition_point(|block| block.start <= offset)
            .saturating_sub(1);
        self.blocks
            .get(block)
            .map_or(&[], |block| &self.paths[block.path])
    }
}

struct Scan {
    outline: Outline,
    open: Vec<(usize, String)>,
}

impl Scan {
    fn block(&mut self, start: usize, kind: BlockKind) {
        let path = self.outline.paths.len() - 1;
        self.outline.blocks.push(Block { start, kind, path });
    }

    fn heading(&mut self, start: usize, level: usize, title: String) {
        self.open.retain(|(above, _)| *above < level);
        self.open.push((level, title));
        self.outline
            .paths
            .push(self.open.iter().map(|(_, title)| title.clone()).collect());
        self.block(start, BlockKind::Heading);
    }
}

fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    text.split_inclusive('\n').map(move |line| {
        let at = start;
        start += line.len();
        (at, line)
    })
}

/// An ATX heading, `#` to `######`, with its level and title.
fn heading(line: &str) -> Option<(usize, String)> {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let line = line.trim();
    let level = line.len() - line.trim_start_matches('#').len();
    let title = &line[level..];
    if indent > 3 || !(1..=6).contains(&level) || !(title.is_empty() || title.starts_with([' ', '\t'])) {
        return None;
    }
    Some((
        level,
        title
            .trim_end_matches('#')
            .trim()
            .chars()
            .take(HEADING_CHARS)
            .collect(),
    ))
}

struct Fence {
    mark: char,
    length: usize,
}

impl Fence {
    fn open(line: &str) -> Option<Self> {
        let line = line.trim();
        let mark = line.chars().next().filter(|mark| matches!(mark, '`' | '~'))?;
        let info = line.trim_start_matches(mark);
        let length = line.len() - info.len();
        (length >= 3 && !(mark == '`' && info.contains('`'))).then_some(Self { mark, length })
    }

    fn closes(&self, line: &str) -> bool {
        let line = line.trim();
        line.len() >= self.length && line.chars().all(|mark| mark == self.mark)
    }
}

/// The second line of a table: dashes and colons between bars.
fn is_delimiter_row(line: &str) -> bool {
    let line = line.trim();
    line.contains('|')
        && line.contains('-')
        && line
            .chars()
            .all(|mark| matches!(mark, '|' | '-' | ':' | ' ' | '\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(usize, BlockKind)> {
        Outline::new(text)
            .blocks
            .iter()
            .map(|block| (block.start, block.kind))
            .collect()
    }

    #[test]
    fn headings_nest_and_close_deeper_ones() {
        let text = "intro\n# A\none\n### B\ntwo\n## C ##\nthree\n";
        let outline = Outline::new(text);
        let at = |needle: &str| outline.heading_at(text.find(needle).unwrap()).join("/");
        assert_eq!(at("intro"), "");
        assert_eq!(at("# A"), "A");
        assert_eq!(at("two"), "A/B");
        assert_eq!(at("three"), "A/C");
    }

    #[test]
    fn a_fence_hides_headings_and_an_open_fence_reaches_the_end() {
        use BlockKind::{Atomic, Paragraph};
        assert_eq!(
            kinds("a\n```sh\n# no heading\n```\nb\n"),
            [(0, Paragraph), (2, Atomic), (25, Paragraph)]
        );
        assert_eq!(
            kinds("a\n~~~\n# no heading\n```\n"),
            [(0, Paragraph), (2, Atomic)]
        );
        assert_eq!(kinds("#hashtag is no heading"), [(0, Paragraph)]);
    }

    #[test]
    fn a_table_needs_its_delimiter_row() {
        use BlockKind::{Atomic, Paragraph};
        assert_eq!(kinds("|a|b|\n|-|-|\n|1|2|\nend"), [(0, Atomic), (18, Paragraph)]);
        assert_eq!(kinds("a | b\nno table"), [(0, Paragraph)]);
    }

    #[test]
    fn every_text_has_a_block_at_zero() {
        assert_eq!(kinds("")[0].0, 0);
        assert_eq!(kinds("\n\n  \nlate")[0].0, 0);
    }
}
