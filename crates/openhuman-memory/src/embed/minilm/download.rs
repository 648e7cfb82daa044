//! Fetching the weights once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::blocking::Response;
use reqwest::header::{HeaderMap, RANGE};
use sha2::{Digest, Sha256};

use crate::embed::EmbedError;
use crate::embed::http::{address, client};

/// Where the model's authors publish the weights.
pub const MINILM_URL: &str =
    "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2/resolve/main/model.safetensors";

/// How long one attempt may take.
const TIMEOUT: Duration = Duration::from_secs(30 * 60);

/// Addresses that one download may be passed on to.
const REDIRECTS: usize = 5;

/// What the file must be.
pub(super) struct Expected {
    pub(super) sha256: &'static str,
    pub(super) bytes: u64,
}

/// Downloads a file. It is written beside its place, where a later attempt goes on, and gets its name when it is
/// complete and right.
pub(super) fn download(url: &str, path: &Path, expected: &Expected) -> Result<(), EmbedError> {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    fetch(url, &part, expected)?;
    let found = hash(&part).map_err(|error| unwritten(&part, &error))?;
    if found != expected.sha256 {
        // Going on behind a wrong beginning would never end well.
        fs::remove_file(&part).map_err(|error| unwritten(&part, &error))?;
        return Err(EmbedError::Config {
            reason: format!(
                "{url} is another file, with the SHA-256 {found} instead of {}; check the address",
                expected.sha256
            ),
        });
    }
    fs::rename(&part, path).map_err(|error| unwritten(path, &error))
}

fn fetch(url: &str, part: &Path, expected: &Expected) -> Result<(), EmbedError> {
    let address = address(url)?;
    let there = fs::metadata(part).map_or(0, |metadata| metadata.len());
    if there == expected.bytes {
        return Ok(());
    }
    let lost = |error: reqwest::Error| EmbedError::Unavailable {
        reason: format!("the weights could not be downloaded from {url}"),
        source: Some(Box::new(error.without_url())),
    };
    let client = client(&address, TIMEOUT, HeaderMap::new(), REDIRECTS)?;
    let mut request = client.get(address);
    if there > 0 && there < expected.bytes {
        request = request.header(RANGE, format!("bytes={there}-"));
    }
    let response = request.send().map_err(lost)?;
    let goes_on = response.status() == StatusCode::PARTIAL_CONTENT;
    if !goes_on && response.status() != StatusCode::OK {
        return Err(EmbedError::Unavailable {
            reason: format!("{url} answers {}", response.status()),
            source: None,
        });
    }
    let file = OpenOptions::new()
        .create(true)
        .write(true)
        .append(goes_on)
        .truncate(!goes_on)
        .open(part)
        .map_err(|error| unwritten(part, &error))?;
    let rest = expected.bytes - if goes_on { there } else { 0 };
    copy(response, file, rest).map_err(|error| match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::PermissionDenied => unwritten(part, &error),
        _ => EmbedError::Unavailable {
            reason: format!("the download from {url} broke off; the next attempt goes on where it stopped"),
            source: Some(Box::new(error)),
        },
    })
}

/// Copies what is missing, and one byte more if there is more, so that a longer file does not pass for the right one.
fn copy(response: Response, mut file: File, rest: u64) -> io::Result<()> {
    let copied = io::copy(&mut response.take(rest + 1), &mut file)?;
    file.flush()?;
    file.sync_all()?;
    if copied < rest {
        return Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("{} bytes are missing", rest - copied),
        ));
    }
    Ok(())
}

fn hash(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(crate::ingest::hex(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
    }
}

fn unwritten(path: &Path, error: &io::Error) -> EmbedError {
    EmbedError::Config {
        reason: format!("{} cannot be written ({error})", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;
    use std::sync::mpsc::{Receiver, channel};

    use super::*;

    const FILE: &[u8] = b"one two three four five six seven";

    /// Serves the file, `cut` bytes of it in the first answer; tells the ranges that were asked for.
    fn server(cut: usize, file: &'static [u8]) -> (String, Receiver<Option<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/weights", listener.local_addr().unwrap());
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for (at, stream) in listener.incoming().enumerate() {
                let mut stream = stream.unwrap();
                let mut range = None;
                for line in BufReader::new(&stream).lines().map_while(Result::ok) {
                    if line.is_empty() {
                        break;
                    }
                    if let Some(bytes) = line.to_lowercase().strip_prefix("range: bytes=") {
                        range = Some(bytes.to_owned());
                    }
                }
                let start = range
                    .as_ref()
                    .map_or(0, |range| range.trim_end_matches('-').parse().unwrap());
                let status = if range.is_some() {
                    "206 Partial Content"
                } else {
                    "200 OK"
                };
                let body = &file[start..];
                let sent = if at == 0 { cut.min(body.len()) } else { body.len() };
                let head = format!(
                    "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                // The client may have gone already.
                let _ = stream
                    .write_all(head.as_bytes())
                    .and_then(|()| stream.write_all(&body[..sent]));
                let _ = sender.send(range);
            }
        });
        (url, receiver)
    }

    fn right() -> Expected {
        let sha256 = crate::ingest::hex(&Sha256::digest(FILE));
        Expected {
            sha256: Box::leak(sha256.into_boxed_str()),
            bytes: FILE.len() as u64,
        }
    }

    #[test]
    fn a_download_goes_on_where_it_broke_off() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights");
        let (url, ranges) = server(11, FILE);
        let broken = download(&url, &path, &right()).unwrap_err();
        assert!(
            broken.is_transient() && broken.to_string().contains("goes on"),
            "{broken}"
        );
        assert!(!path.exists(), "half a file has not its name");
        download(&url, &path, &right()).unwrap();
        assert_eq!(fs::read(&path).unwrap(), FILE);
        assert_eq!(ranges.recv().unwrap(), None);
        let second = ranges.recv().unwrap();
        assert!(second.is_some_and(|range| range.ends_with('-') && range != "0-"));
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn another_file_is_refused_and_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("weights");
        for file in [
            &b"one two three four five six SEVEN"[..],
            b"one two three four five six seven eight",
        ] {
            let (url, _ranges) = server(usize::MAX, file);
            let wrong = download(&url, &path, &right()).unwrap_err();
            assert!(wrong.to_string().contains("another file"), "{wrong}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        }
        let plain = download("http://example.org/weights", &path, &right()).unwrap_err();
        assert!(plain.to_string().contains("encryption"), "{plain}");
    }
}
