//! The single-file form of a package: regular files in a ustar archive, compressed with gzip.
//!
//! Only the one layout [`write`] makes is read, with directories and their padding tolerated: no links, no devices,
//! no extended headers, no absolute names. So there is little that readers could disagree about.

use std::io::{self, Read as _, Write as _};

use flate2::bufread::GzDecoder;
use flate2::{Compression, GzBuilder};

use super::files::{FileSet, MAX_TOTAL};
use super::{PackageError, SIGNATURE};

/// The largest archive that is read, in bytes.
pub(crate) const MAX_ARCHIVE: usize = 16 * 1024 * 1024;
/// How many times its size an archive above a megabyte may unpack to.
const MAX_RATIO: usize = 200;
const BLOCK: usize = 512;

fn refuse(reason: impl Into<String>) -> PackageError {
    PackageError::Archive {
        reason: reason.into(),
    }
}

pub(super) fn write(files: &FileSet, signature: Option<&str>) -> Result<Vec<u8>, PackageError> {
    let failed = |error: io::Error| refuse(error.to_string());
    // No name, no time, no operating system: the same files give the same bytes.
    let mut gzip = GzBuilder::new()
        .operating_system(255)
        .write(Vec::new(), Compression::best());
    let signature = signature.map(|json| (SIGNATURE, json.as_bytes()));
    let mut all: Vec<_> = files.iter().chain(signature).collect();
    all.sort_unstable_by_key(|(path, _)| *path);
    for (path, content) in all {
        gzip.write_all(&header(path, content.len())?).map_err(failed)?;
        gzip.write_all(content).map_err(failed)?;
        let padding = content.len().next_multiple_of(BLOCK) - content.len();
        gzip.write_all(&[0; BLOCK][..padding]).map_err(failed)?;
    }
    gzip.write_all(&[0; 2 * BLOCK]).map_err(failed)?;
    gzip.finish().map_err(failed)
}

/// Compresses what an archive unpacks to, for fuzzing: without it almost nothing would get past the container.
pub(crate) fn compress(unpacked: &[u8]) -> Vec<u8> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
    let written = gzip.write_all(unpacked);
    written.and_then(|()| gzip.finish()).unwrap_or_default()
}

fn header(path: &str, size: usize) -> Result<[u8; BLOCK], PackageError> {
    let (prefix, name) = split(path).ok_or_else(|| refuse(format!("`{path}` is too long for it")))?;
    let mut block = [0; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    put(345, prefix.as_bytes());
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(block)
}

/// The path as a header holds it: up to 155 bytes of directories, and up to 100 of the rest.
fn split(path: &str) -> Option<(&str, &str)> {
    if path.len() <= 100 {
        return Some(("", path));
    }
    let mut slashes = path.match_indices('/');
    slashes.find_map(|(at, _)| {
        let (prefix, name) = (&path[..at], &path[at + 1..]);
        (prefix.len() <= 155 && name.len() <= 100).then_some((prefix, name))
    })
}

pub(super) fn read(bytes: &[u8]) -> Result<FileSet, PackageError> {
    if bytes.len() > MAX_ARCHIVE {
        return Err(PackageError::TooLarge {
            what: "the archive".to_owned(),
            size: bytes.len(),
            limit: MAX_ARCHIVE,
        });
    }
    let unpacked = unpack(bytes)?;
    let mut files = FileSet::default();
    let mut rest = unpacked.as_slice();
    loop {
        let Some((block, after)) = rest.split_first_chunk::<BLOCK>() else {
            return Err(refuse("it ends in the middle"));
        };
        if block.iter().all(|byte| *byte == 0) {
            // The end. Tools fill the last record with zeros.
            return if after.iter().all(|byte| *byte == 0) {
                Ok(files)
            } else {
                Err(refuse("something follows its end"))
            };
        }
        let entry = Entry::parse(block)?;
        let padded = entry.size.next_multiple_of(BLOCK);
        if padded > after.len() {
            return Err(refuse(format!("`{}` is cut off", entry.path)));
        }
        let (content, next) = after.split_at(padded);
        rest = next;
        if !entry.is_dir {
            files.insert(entry.path, content[..entry.size].to_vec())?;
        }
    }
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, PackageError> {
    // Headers and padding come on top of the contents.
    let limit = bytes
        .len()
        .saturating_mul(MAX_RATIO)
        .clamp(1024 * 1024, MAX_TOTAL + 1024 * 1024);
    let mut unpacked = Vec::new();
    let mut decoder = GzDecoder::new(bytes);
    let read = (&mut decoder)
        .take(limit as u64 + 1)
        .read_to_end(&mut unpacked)
        .map_err(|error| refuse(format!("it cannot be unpacked: {error}")))?;
    if read > limit {
        return Err(PackageError::TooLarge {
            what: "the unpacked archive".to_owned(),
            size: read,
            limit,
        });
    }
    if !decoder.into_inner().is_empty() {
        return Err(refuse("something follows its end"));
    }
    Ok(unpacked)
}

/// What a header says.
struct Entry {
    path: String,
    size: usize,
    is_dir: bool,
}

impl Entry {
    fn parse(block: &[u8; BLOCK]) -> Result<Self, PackageError> {
        let sum: u32 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| u32::from(if (148..156).contains(&at) { b' ' } else { *byte }))
            .sum();
        if octal(&block[148..156]) != Some(u64::from(sum)) {
            return Err(refuse("a header is damaged"));
        }
        if !matches!(&block[257..265], b"ustar\x0000" | b"ustar  \0") {
            return Err(refuse("it is not in the ustar format"));
        }
        let text = |bytes: &[u8]| {
            let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
            std::str::from_utf8(&bytes[..end])
                .map(str::to_owned)
                .map_err(|_| refuse("the name of a file is not UTF-8"))
        };
        let (name, prefix) = (text(&block[..100])?, text(&block[345..500])?);
        let mut path = if prefix.is_empty() {
            name
        } else {
            format!("{prefix}/{name}")
        };
        let is_dir = match block[156] {
            b'0' | 0 => false,
            b'5' => {
                let directory = path.strip_suffix('/').unwrap_or(&path).to_owned();
                path = directory;
                if let Err(reason) = super::path::check(&path) {
                    return Err(PackageError::Path { path, reason });
                }
                true
            }
            b'1' | b'2' => return Err(refuse(format!("`{path}` is a link"))),
            _ => return Err(refuse(format!("`{path}` is neither a file nor a directory"))),
        };
        let size = octal(&block[124..136]).and_then(|size| usize::try_from(size).ok());
        match size.filter(|size| *size <= MAX_TOTAL && !(is_dir && *size > 0)) {
            Some(size) => Ok(Self { path, size, is_dir }),
            None => Err(refuse(format!("the size of `{path}` is not valid"))),
        }
    }
}

/// An octal number that ends with a NUL or a space.
fn octal(field: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(field).ok()?;
    let digits = text.trim_end_matches(['\0', ' ']).trim_start_matches(' ');
    if digits.is_empty() || !digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte)) {
        return None;
    }
    u64::from_str_radix(digits, 8).ok()
}
