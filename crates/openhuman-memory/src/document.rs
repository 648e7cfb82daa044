use serde::Serialize;

use crate::error::MemoryError;

/// The longest document text, in bytes: 16 MiB.
pub const MAX_DOCUMENT_BYTES: usize = 16 * 1024 * 1024;

/// The longest namespace, in bytes.
pub const MAX_NAMESPACE_BYTES: usize = 128;

/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 1024;

/// The longest title or source, in bytes.
pub const MAX_LABEL_BYTES: usize = 4096;

/// The namespace of documents that do not name one.
pub const DEFAULT_NAMESPACE: &str = "default";

/// A text to remember. The pair of namespace and key identifies it: a second document with the same pair replaces
/// the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Which part of the memory it belongs to, 1 to 128 bytes.
    pub namespace: String,
    /// Its name inside the namespace, 1 to 1024 bytes.
    pub key: String,
    /// What people call it. Searched together with the text; may be empty.
    pub title: String,
    /// The text itself, Markdown or plain, up to 16 MiB.
    pub text: String,
    /// Where it came from, for example a path or an address; may be empty.
    pub source: String,
    /// When it was written, in milliseconds since the Unix epoch. `None` keeps the time of the first ingest.
    pub created_ms: Option<i64>,
}

impl Document {
    /// A document in the namespace `default`, without a source.
    pub fn new(key: impl Into<String>, title: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            namespace: DEFAULT_NAMESPACE.to_owned(),
            key: key.into(),
            title: title.into(),
            text: text.into(),
            source: String::new(),
            created_ms: None,
        }
    }

    /// A document from the bytes of a file: UTF-8, or UTF-16 with a byte order mark.
    ///
    /// # Errors
    ///
    /// [`MemoryError::TooLong`] for more than 16 MiB, before anything is copied; [`MemoryError::NotText`] for broken
    /// UTF-8 or UTF-16, with the place, and for a binary file.
    ///
    /// ```
    /// use openhuman_memory::Document;
    ///
    /// assert!(Document::from_bytes("notes.md", "Notes", b"# Plans").is_ok());
    /// let error = Document::from_bytes("old.txt", "", b"na\xefve").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "old.txt is not a text: its byte 2 is not valid UTF-8; save it as UTF-8"
    /// );
    /// ```
    pub fn from_bytes(
        key: impl Into<String>,
        title: impl Into<String>,
        bytes: &[u8],
    ) -> Result<Self, MemoryError> {
        let key = key.into();
        if bytes.len() > MAX_DOCUMENT_BYTES {
            return Err(MemoryError::TooLong {
                field: "document",
                bytes: bytes.len(),
                limit: MAX_DOCUMENT_BYTES,
            });
        }
        match text_of(bytes) {
            Ok(text) => Ok(Self::new(key, title, text)),
            Err(reason) => Err(MemoryError::NotText { key, reason }),
        }
    }

    pub(crate) fn check(&self) -> Result<(), MemoryError> {
        for (field, value) in [("namespace", &self.namespace), ("key", &self.key)] {
            if value.is_empty() {
                return Err(MemoryError::Empty { field });
            }
        }
        at_most("namespace", &self.namespace, MAX_NAMESPACE_BYTES)?;
        at_most("key", &self.key, MAX_KEY_BYTES)?;
        at_most("title", &self.title, MAX_LABEL_BYTES)?;
        at_most("source", &self.source, MAX_LABEL_BYTES)?;
        at_most("document", &self.text, MAX_DOCUMENT_BYTES)
    }
}

/// The text that the bytes of a file stand for, or why they are none.
fn text_of(bytes: &[u8]) -> Result<String, String> {
    let utf16 = |bytes: &[u8], number: fn([u8; 2]) -> u16| {
        let (pairs, rest) = bytes.as_chunks::<2>();
        let text = char::decode_utf16(pairs.iter().map(|pair| number(*pair))).collect::<Result<String, _>>();
        text.ok()
            .filter(|_| rest.is_empty())
            .ok_or_else(|| "it has the mark of UTF-16 but is none; save it as UTF-8".to_owned())
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => {
            let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
            if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
                return Err(format!(
                    "its byte {at} is zero, as in binary files; extract the text from it first"
                ));
            }
            let text = std::str::from_utf8(bytes).map_err(|error| {
                format!(
                    "its byte {} is not valid UTF-8; save it as UTF-8",
                    error.valid_up_to()
                )
            })?;
            Ok(text.to_owned())
        }
    }
}

pub(crate) fn at_most(field: &'static str, value: &str, limit: usize) -> Result<(), MemoryError> {
    let bytes = value.len();
    if bytes > limit {
        Err(MemoryError::TooLong { field, bytes, limit })
    } else {
        Ok(())
    }
}

/// What one [`ingest`](crate::Memory::ingest) did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IngestReport {
    /// Identifies the document for [`forget`](crate::Memory::forget). The same namespace and key always give the
    /// same identifier.
    pub document_id: String,
    /// How many chunks the document has now.
    pub chunks: usize,
    /// How many of them were embedded now.
    pub embedded: usize,
    /// How many were there before and kept their vector.
    pub reused: usize,
    /// How many chunks of the earlier text are gone.
    pub removed: usize,
    /// How many chunks hold nothing the model knows and so are found by their words only.
    pub without_vector: usize,
    /// Whether the very same document was there already, so that nothing was written.
    pub unchanged: bool,
}

/// A remembered document, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DocumentInfo {
    /// The identifier for [`forget`](crate::Memory::forget).
    pub id: String,
    /// The namespace.
    pub namespace: String,
    /// The key inside the namespace.
    pub key: String,
    /// The title, possibly empty.
    pub title: String,
    /// The source, possibly empty.
    pub source: String,
    /// When the document was written, in milliseconds since the Unix epoch.
    pub created_ms: i64,
    /// When it was last ingested with a change, in milliseconds since the Unix epoch.
    pub updated_ms: i64,
    /// Bytes of text.
    pub bytes: u64,
    /// Chunks in the index.
    pub chunks: u64,
}

/// Sizes of a memory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Namespaces with at least one document.
    pub namespaces: u64,
    /// Documents.
    pub documents: u64,
    /// Chunks in the index.
    pub chunks: u64,
    /// Chunks with a vector.
    pub vectors: u64,
    /// Tokens in all chunks, overlaps included.
    pub tokens: u64,
    /// Sessions.
    pub sessions: u64,
    /// Bytes of the database file, its free pages included.
    pub database_bytes: u64,
}
