//! Where an error arose, in the words of its author: file, line, and the line itself with a mark below it.
//!
//! Pure: the texts of the scripts come from the package, the stack is text the engine made. Both are the skill's, so
//! nothing here is trusted; every size is bounded.

mod map;

use std::fmt;
use std::sync::OnceLock;

use serde::Serialize;

use self::map::SourceMap;
use crate::SkillPackage;

/// The longest part of a source line that is shown, in characters.
const MAX_LINE: usize = 110;
/// How much of such a part precedes the marked place when the line is longer.
const BEFORE: usize = 60;
/// The longest name of a file or function that is shown, in characters.
const MAX_NAME: usize = 120;

/// An error text taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trace {
    /// What was thrown.
    pub message: String,
    /// Where, innermost first.
    pub frames: Vec<Frame>,
}

/// One place in an author's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Frame {
    /// The function, if it has a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The file, as the author knows it: after the source map, if there is one.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The line's text, if it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceLine>,
}

/// A line of source, cut to what fits on a screen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SourceLine {
    /// The text, without control characters.
    pub text: String,
    /// How many characters precede the marked one.
    pub caret: usize,
}

impl Trace {
    /// A message without a place.
    #[must_use]
    pub fn plain(message: String) -> Self {
        Self {
            message,
            frames: Vec::new(),
        }
    }

    /// Leaves out the places in files of the host.
    #[cfg(feature = "kit")]
    pub(crate) fn own(&mut self) {
        self.frames.retain(|frame| {
            !frame.file.starts_with("openhuman:") && !["<input>", "<null>"].contains(&&*frame.file)
        });
    }

    /// The message, at most `frames` places, and the source line of the first one with a mark below it.
    #[must_use]
    pub fn brief(&self, frames: usize) -> String {
        let mut text = self.message.clone();
        for frame in self.frames.iter().take(frames) {
            text.push_str(&format!("\n    at {frame}"));
        }
        if let Some(frame) = self.frames.first()
            && let Some(snippet) = frame.snippet()
        {
            text.push('\n');
            text.push_str(&snippet);
        }
        text
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.brief(usize::MAX))
    }
}

impl Frame {
    /// A place in a text that is at hand. Line and column count from 1.
    #[must_use]
    pub fn in_text(file: &str, text: &str, line: u32, column: u32) -> Self {
        Self {
            function: None,
            file: file.to_owned(),
            line,
            column,
            source: source_line(text, line, column),
        }
    }

    /// The source line behind its number, and below it a line with a mark; `None` when the text is not known.
    #[must_use]
    pub fn snippet(&self) -> Option<String> {
        let source = self.source.as_ref()?;
        let number = self.line.to_string();
        let (gutter, indent) = (" ".repeat(number.len()), " ".repeat(source.caret));
        Some(format!("  {number} | {}\n  {gutter} | {indent}^", source.text))
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            file, line, column, ..
        } = self;
        match &self.function {
            Some(function) => write!(f, "{function} ({file}:{line}:{column})"),
            None => write!(f, "{file}:{line}:{column}"),
        }
    }
}

/// The scripts of one package and, once an error has asked for them, their maps.
#[derive(Debug)]
pub struct Sources {
    package: SkillPackage,
    map: OnceLock<Option<SourceMap>>,
}

impl Sources {
    /// The sources of a package. Nothing is read before the first error.
    #[must_use]
    pub fn new(package: SkillPackage) -> Self {
        Self {
            package,
            map: OnceLock::new(),
        }
    }

    /// Takes an error text apart, with every place led back to the author's files.
    #[must_use]
    pub fn trace(&self, error: &str) -> Trace {
        let (message, frames) = split(error);
        let frames = frames.into_iter().map(|frame| self.locate(frame)).collect();
        Trace {
            message: message.to_owned(),
            frames,
        }
    }

    /// The error text with at most two places and the source line of the first one.
    pub(crate) fn annotate(&self, error: &str) -> String {
        self.trace(error).brief(2)
    }

    fn locate(&self, frame: RawFrame<'_>) -> Frame {
        let entry = &self.package.manifest().entry;
        let is_entry = frame.file == entry;
        let original = is_entry
            .then(|| self.entry_map())
            .flatten()
            .and_then(|map| map.lookup(frame.line.checked_sub(1)?, frame.column.saturating_sub(1)));
        if let Some(original) = original {
            let (line, column) = (original.line.saturating_add(1), original.column.saturating_add(1));
            return Frame {
                function: frame.function.or(original.name).map(plain),
                file: plain(short_path(original.file)),
                line,
                column,
                source: original
                    .content
                    .and_then(|content| source_line(content, line, column)),
            };
        }
        Frame {
            function: frame.function.map(plain),
            file: plain(frame.file),
            line: frame.line,
            column: frame.column,
            source: self
                .package
                .file(frame.file)
                .and_then(|text| source_line(text, frame.line, frame.column)),
        }
    }

    /// The map the script names, if it is a file of the package beside it.
    fn map_file(&self, code: &str) -> Option<SourceMap> {
        let address = map::address(code).filter(|address| !address.starts_with("data:"))?;
        let entry = &self.package.manifest().entry;
        let path = match entry.rsplit_once('/') {
            Some((dir, _)) => format!("{dir}/{address}"),
            None => address.to_owned(),
        };
        SourceMap::parse(self.package.file(&path)?)
    }

    fn entry_map(&self) -> Option<&SourceMap> {
        self.map
            .get_or_init(|| {
                let code = self.package.code();
                SourceMap::inline(code).or_else(|| self.map_file(code))
            })
            .as_ref()
    }
}

/// A place as the engine writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RawFrame<'a> {
    function: Option<&'a str>,
    file: &'a str,
    line: u32,
    column: u32,
}

/// Parts the message from the lines of the stack that follow it.
fn split(error: &str) -> (&str, Vec<RawFrame<'_>>) {
    let mut message = error.trim_end();
    let mut frames = Vec::new();
    while let Some((before, last)) = message.rsplit_once('\n') {
        let Some(frame) = RawFrame::parse(last) else { break };
        frames.push(frame);
        message = before;
    }
    frames.reverse();
    (message, frames)
}

impl<'a> RawFrame<'a> {
    /// Reads `at name (file:line:column)` or `at file:line:column`.
    fn parse(line: &'a str) -> Option<Self> {
        let text = line.trim().strip_prefix("at ")?;
        let (function, place) = match text.strip_suffix(')').and_then(|text| text.rsplit_once(" (")) {
            Some((function, place)) => (Some(function), place),
            None => (None, text),
        };
        let mut parts = place.rsplitn(3, ':');
        let (column, line, file) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            function: function.filter(|name| !matches!(*name, "" | "<anonymous>")),
            file,
            line: line.parse().ok()?,
            column: column.parse().ok()?,
        })
    }
}

/// The end of a path that says where a file is, without the steps up to it.
fn short_path(path: &str) -> &str {
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    path.trim_start_matches(['.', '/', '\\'])
}

fn plain(text: &str) -> String {
    text.chars().take(MAX_NAME).map(visible).collect()
}

fn visible(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// A line of a text, cut around the marked column. Both count from 1.
fn source_line(text: &str, line: u32, column: u32) -> Option<SourceLine> {
    let line = text.lines().nth(line.checked_sub(1)? as usize)?;
    let column = column.saturating_sub(1) as usize;
    // A short line is shown whole.
    let short = line.chars().nth(MAX_LINE).is_none();
    let start = if short { 0 } else { column.saturating_sub(BEFORE) };
    let shown: String = line.chars().skip(start).take(MAX_LINE).map(visible).collect();
    let caret = (column - start).min(shown.chars().count());
    if start > 0 {
        let text = format!("…{}", shown.trim_end());
        return Some(SourceLine {
            text,
            caret: caret + 1,
        });
    }
    let indent = shown.chars().take_while(|c| c.is_whitespace()).count();
    // Deep indentation says nothing here; two columns of it remain.
    let drop = indent.saturating_sub(2).min(caret);
    let text: String = shown.chars().skip(drop).collect();
    Some(SourceLine {
        text: text.trim_end().to_owned(),
        caret: caret - drop,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sources(code: &str) -> Sources {
        Sources::new(SkillPackage::from_parts(r#"{"id":"a","name":"A"}"#, code.to_owned()).unwrap())
    }

    #[test]
    fn the_line_is_shown_with_a_mark_below_the_place() {
        let sources =
            sources("const tools = [];\n      function search(page) {\n        return page.id;\n      }\n");
        let error = "TypeError: cannot read property 'id' of undefined\n    at search (index.js:3:21)\n    at <anonymous> (index.js:1:7)";
        assert_eq!(
            sources.annotate(error),
            "TypeError: cannot read property 'id' of undefined\n    at search (index.js:3:21)\n    at index.js:1:7\n  3 |   return page.id;\n    |               ^"
        );
        let again = sources.annotate(error);
        assert_eq!(
            sources.annotate(&again),
            again,
            "an annotated text stays as it is"
        );
    }

    #[test]
    fn what_is_no_stack_stays_a_message() {
        let sources = sources("1");
        for text in [
            "",
            "plain",
            "a\n    at night",
            "at first (x)",
            "a\n    at f (index.js:9999999999:1)",
            "a\n    at f (native)",
        ] {
            assert_eq!(sources.annotate(text), text);
        }
        assert_eq!(
            sources.annotate("a\n    at f (other.js:9:1)"),
            "a\n    at f (other.js:9:1)"
        );
        assert_eq!(
            sources.annotate("a\n    at f (index.js:9:1)"),
            "a\n    at f (index.js:9:1)"
        );
    }

    #[test]
    fn one_endless_line_is_cut_around_the_place() {
        let code = format!("{}boom(){}", "x;".repeat(4000), ";y".repeat(4000));
        let trace = sources(&code).trace("E\n    at boom (index.js:1:8001)");
        let source = trace.frames.first().unwrap().source.clone().unwrap();
        assert!(source.text.chars().count() <= MAX_LINE + 1);
        assert_eq!(
            source.text.chars().skip(source.caret).take(4).collect::<String>(),
            "boom"
        );
    }

    proptest! {
        #[test]
        fn no_error_text_can_do_harm(code in "[a-z;\\n\u{1}é ]{0,200}", text in "(.|\\n){0,200}", line: u32, column: u32) {
            let sources = sources(&code);
            let _ = sources.annotate(&text);
            let shown = sources.annotate(&format!("{text}\n    at f (index.js:{line}:{column})"));
            prop_assert!(shown.len() <= text.len() + 1000);
        }
    }
}
