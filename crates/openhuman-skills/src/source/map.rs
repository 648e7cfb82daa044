//! Reading a source map: only what leads from a place in the bundle back to a place in its author's files.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// The largest map that is read, in bytes of JSON.
const MAX_MAP: usize = 4 * 1024 * 1024;
/// The marker before the address of a map.
const MARKER: &str = "//# sourceMappingURL=";

/// A source map of version 3. Nothing in it is trusted: it comes with the package.
#[derive(Debug, Deserialize)]
pub(crate) struct SourceMap {
    version: u32,
    #[serde(default)]
    sources: Vec<Option<String>>,
    #[serde(default, rename = "sourcesContent")]
    contents: Vec<Option<String>>,
    #[serde(default)]
    names: Vec<String>,
    mappings: String,
}

/// Where something was before bundling. Lines and columns count from zero.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Original<'a> {
    pub(crate) file: &'a str,
    pub(crate) line: u32,
    pub(crate) column: u32,
    pub(crate) name: Option<&'a str>,
    /// The text of the file, if the map carries it.
    pub(crate) content: Option<&'a str>,
}

impl SourceMap {
    /// Reads a map; `None` when it is too large, malformed, or of another version.
    pub(crate) fn parse(json: &str) -> Option<Self> {
        if json.len() > MAX_MAP {
            return None;
        }
        // Some tools guard the file against being run as a script.
        let json = json.strip_prefix(")]}'").unwrap_or(json);
        serde_json::from_str::<Self>(json)
            .ok()
            .filter(|map| map.version == 3)
    }

    /// The map a script carries in its last lines as a `data:` address.
    pub(crate) fn inline(script: &str) -> Option<Self> {
        let address = address(script)?;
        let (kind, data) = address.strip_prefix("data:")?.split_once(',')?;
        if !kind.starts_with("application/json") || !kind.ends_with(";base64") {
            return None;
        }
        // Base64 is a third longer than what it stands for.
        if data.len() > MAX_MAP / 3 * 4 + 4 {
            return None;
        }
        let bytes = STANDARD.decode(data).ok()?;
        Self::parse(std::str::from_utf8(&bytes).ok()?)
    }

    /// The place a position in the bundle comes from. Lines and columns count from zero.
    pub(crate) fn lookup(&self, line: u32, column: u32) -> Option<Original<'_>> {
        let mut found = None;
        let mut state = Segment::default();
        let lines = self.mappings.split(';');
        // The fields but the generated column are relative to the segment before, also on earlier lines.
        for (at, segments) in lines.enumerate().take(line as usize + 1) {
            state.generated = 0;
            for text in segments.split(',').filter(|text| !text.is_empty()) {
                state.read(text)?;
                if at == line as usize {
                    if state.generated > i64::from(column) {
                        break;
                    }
                    found = Some(state);
                }
            }
        }
        let found = found.filter(|segment| segment.has_source)?;
        let source = usize::try_from(found.source).ok()?;
        Some(Original {
            file: self.sources.get(source)?.as_deref()?,
            line: u32::try_from(found.line).ok()?,
            column: u32::try_from(found.column).ok()?,
            name: found
                .has_name
                .then(|| usize::try_from(found.name).ok())
                .flatten()
                .and_then(|name| self.names.get(name))
                .map(String::as_str),
            content: self.contents.get(source).and_then(Option::as_deref),
        })
    }
}

/// The address of the map a script names in its last such comment.
pub(crate) fn address(script: &str) -> Option<&str> {
    let (_, rest) = script.rsplit_once(MARKER)?;
    let mut lines = rest.lines();
    let address = lines.next()?.trim();
    // Further down the script goes on, so the comment was text inside it.
    (!address.is_empty() && lines.all(|line| line.trim().is_empty() || line.trim_start().starts_with("//")))
        .then_some(address)
}

#[derive(Clone, Copy, Default)]
struct Segment {
    generated: i64,
    source: i64,
    line: i64,
    column: i64,
    name: i64,
    has_source: bool,
    has_name: bool,
}

impl Segment {
    /// Adds one segment's differences. `None` when it is malformed.
    fn read(&mut self, text: &str) -> Option<()> {
        let mut rest = text.as_bytes();
        let mut fields = [0; 5];
        let mut count = 0;
        while !rest.is_empty() {
            *fields.get_mut(count)? = number(&mut rest)?;
            count += 1;
        }
        let [generated, source, line, column, name] = fields;
        self.generated = self.generated.checked_add(generated)?;
        self.has_source = count >= 4;
        self.has_name = count == 5;
        self.source = self.source.checked_add(source)?;
        self.line = self.line.checked_add(line)?;
        self.column = self.column.checked_add(column)?;
        self.name = self.name.checked_add(name)?;
        matches!(count, 1 | 4 | 5).then_some(())
    }
}

/// One number in base 64, least significant digits first; the lowest bit is the sign.
fn number(text: &mut &[u8]) -> Option<i64> {
    let mut value: u64 = 0;
    for shift in (0..35).step_by(5) {
        let (digit, rest) = text.split_first()?;
        *text = rest;
        let digit = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        value |= u64::from(digit & 31) << shift;
        if digit & 32 == 0 {
            let size = i64::try_from(value >> 1).ok()?;
            return Some(if value & 1 == 1 { -size } else { size });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What esbuild makes of `const x = 1;\nfunction boom() {\n  throw new Error("no");\n}\nboom();` in `src/a.ts`.
    const MAP: &str = r#"{"version":3,"sources":["../src/a.ts"],"sourcesContent":["const x = 1;\nfunction boom() {\n  throw new Error(\"no\");\n}\nboom();\n"],"mappings":";;;AACA,WAAS,OAAO;AACd,UAAM,IAAI,MAAM,IAAI;AAAA,EACtB;AACA,OAAK;","names":[]}"#;

    #[test]
    fn a_place_leads_back_to_the_authors_file() {
        let map = SourceMap::parse(MAP).unwrap();
        let found = map.lookup(4, 10).unwrap();
        assert_eq!((found.file, found.line, found.column), ("../src/a.ts", 2, 8));
        assert_eq!(
            found.content.unwrap().lines().nth(2),
            Some("  throw new Error(\"no\");")
        );
        // Before the first segment of a line, on a line without segments, and beyond the end.
        assert_eq!(map.lookup(3, 0).map(|found| found.line), Some(1));
        assert_eq!(map.lookup(0, 5), None);
        assert_eq!(map.lookup(4000, 5), None);
    }

    #[test]
    fn numbers_are_signed_and_bounded() {
        let read = |mut text: &[u8]| number(&mut text);
        assert_eq!(read(b"A"), Some(0));
        assert_eq!(read(b"C"), Some(1));
        assert_eq!(read(b"D"), Some(-1));
        assert_eq!(read(b"gB"), Some(16));
        assert_eq!(read(b"2H"), Some(123));
        assert_eq!(read(b"ggggggggggggggg"), None);
        assert_eq!(read(b"g"), None);
        assert_eq!(read(b"!"), None);
    }

    #[test]
    fn a_map_inside_the_script_is_found() {
        let data = STANDARD.encode(MAP);
        let script = format!("boom();\n//# sourceMappingURL=data:application/json;base64,{data}\n");
        assert!(SourceMap::inline(&script).is_some());
        let quoted =
            format!("const t = `//# sourceMappingURL=data:application/json;base64,{data}\n`;\nboom();");
        assert!(SourceMap::inline(&quoted).is_none());
        assert_eq!(
            address("x\n//# sourceMappingURL=index.js.map"),
            Some("index.js.map")
        );
    }

    proptest! {
        #[test]
        fn no_map_can_do_harm(json in ".{0,400}", mappings in "[A-Za-z0-9+/,;!]{0,400}", line in 0..64u32, column: u32) {
            let _ = SourceMap::parse(&json);
            let _ = SourceMap::inline(&json);
            let map = serde_json::json!({"version": 3, "sources": ["a", null], "names": ["n"], "mappings": mappings});
            if let Some(map) = SourceMap::parse(&map.to_string()) {
                let _ = map.lookup(line, column);
            }
        }
    }
}
