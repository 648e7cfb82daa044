//! The search that must find nothing: phrases that were stored, looked for in every byte on disk.

use std::fs;
use std::io;
use std::path::Path;

/// How often each phrase occurs in the files below `dir`, and how many files and bytes were read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Search {
    pub(crate) hits: Vec<usize>,
    pub(crate) files: usize,
    pub(crate) bytes: u64,
}

impl Search {
    pub(crate) fn nothing_found(&self) -> bool {
        self.files > 0 && self.hits.iter().all(|hits| *hits == 0)
    }

    pub(crate) fn all_found(&self) -> bool {
        self.hits.iter().all(|hits| *hits > 0)
    }
}

/// Looks for the phrases, as UTF-8 and as UTF-16 in both byte orders.
pub(crate) fn search(dir: &Path, phrases: &[&str]) -> io::Result<Search> {
    let forms: Vec<Vec<Vec<u8>>> = phrases.iter().map(|phrase| encodings(phrase)).collect();
    let mut result = Search {
        hits: vec![0; phrases.len()],
        ..Search::default()
    };
    visit(dir, &mut |bytes| {
        result.files += 1;
        result.bytes += bytes.len() as u64;
        for (hits, forms) in result.hits.iter_mut().zip(&forms) {
            *hits += forms.iter().filter(|form| contains(bytes, form)).count();
        }
    })?;
    Ok(result)
}

fn encodings(phrase: &str) -> Vec<Vec<u8>> {
    let little = phrase.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big = phrase.encode_utf16().flat_map(u16::to_be_bytes).collect();
    vec![phrase.as_bytes().to_vec(), little, big]
}

fn visit(dir: &Path, file: &mut dyn FnMut(&[u8])) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            visit(&entry.path(), file)?;
        } else if kind.is_file() {
            file(&fs::read(entry.path())?);
        }
    }
    Ok(())
}

fn contains(bytes: &[u8], phrase: &[u8]) -> bool {
    // Skipping to the rarest byte is not worth it here: a home of a demo is small.
    !phrase.is_empty() && bytes.windows(phrase.len()).any(|window| window == phrase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_found_in_any_folder_and_encoding() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("sub/a"), b"xx secret xx").unwrap();
        let wide: Vec<u8> = "hidden".encode_utf16().flat_map(u16::to_le_bytes).collect();
        fs::write(dir.path().join("b"), wide).unwrap();
        let found = search(dir.path(), &["secret", "hidden", "absent"]).unwrap();
        assert_eq!(found.hits, [1, 1, 0]);
        assert_eq!(found.files, 2);
        assert!(!found.nothing_found() && !found.all_found());
    }

    #[test]
    fn an_empty_folder_proves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!search(dir.path(), &["x"]).unwrap().nothing_found());
    }
}
