//! A registry: its index, kept in a file between fetches, and its downloads.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use url::Url;

use super::fetch::{check_url, is_loopback};
use super::index::MAX_INDEX;
use super::{FetchError, Fetched, Index, IndexEntry, IndexError, Offer, RegistryFetch};
use crate::manifest::MAX_MANIFEST;
use crate::package::{MAX_ARCHIVE, MAX_CODE};
use crate::{Clock, PackageError, SkillPackage};

/// The public registry of skills.
pub const DEFAULT_REGISTRY: &str =
    "https://raw.githubusercontent.com/tinyhumansai/openhuman-skills/build/skills/registry.json";
/// How long a fetched index counts as fresh, in milliseconds.
const TTL_MS: i64 = 3600 * 1000;

/// Where a registry's index lies.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// On a server.
    Url(Url),
    /// In a file on this machine, which is read each time.
    File(PathBuf),
}

/// A registry.
pub struct Registry {
    source: Source,
    cache: Option<PathBuf>,
    fetch: Arc<dyn RegistryFetch>,
    clock: Arc<dyn Clock>,
}

/// An index, and how old it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Listing {
    /// The index.
    pub index: Index,
    /// When it was fetched, or last confirmed by the server, in milliseconds since 1970-01-01 00:00 UTC.
    pub fetched_at_ms: i64,
    /// What the user should know, for example that the registry cannot be reached and this is an older index.
    pub notice: Option<String>,
}

/// Why a registry cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The place of the registry is not one.
    #[error(
        "`{text}` is not the place of a registry: use an https address, an absolute path, or a file:// address"
    )]
    Source {
        /// The text.
        text: String,
    },
    /// Something could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file could not be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The index is not usable.
    #[error("the registry at `{place}` cannot be used: {source}")]
    Index {
        /// Where it lies.
        place: String,
        /// What is wrong with it.
        source: IndexError,
    },
    /// The registry gives an address that is not one.
    #[error("the registry's address `{text}` for '{skill}' cannot be used: {reason}")]
    Address {
        /// The skill.
        skill: crate::SkillId,
        /// The address.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
    /// What was downloaded is not a package.
    #[error("the download of '{skill}' is not usable: {source}")]
    Package {
        /// The skill.
        skill: crate::SkillId,
        /// What is wrong with it.
        source: PackageError,
    },
}

/// The file an index is kept in.
#[derive(Serialize, Deserialize)]
struct Cached {
    fetched_at: DateTime<Utc>,
    /// Absent in files of earlier programs, which knew one registry.
    #[serde(default)]
    url: Option<String>,
    #[serde(default)]
    etag: Option<String>,
    registry: Box<RawValue>,
}

impl Source {
    /// The place a text names, usually the value of `SKILLS_REGISTRY_URL`; the public registry when there is none.
    ///
    /// # Errors
    /// [`RegistryError::Source`] unless it is an https address, an http address of this machine, an absolute path
    /// or a `file://` address.
    pub fn parse(text: Option<&str>) -> Result<Self, RegistryError> {
        let text = text.map(str::trim).filter(|text| !text.is_empty());
        let text = text.unwrap_or(DEFAULT_REGISTRY);
        let path = Path::new(text);
        if path.is_absolute() {
            return Ok(Self::File(path.to_owned()));
        }
        let wrong = || RegistryError::Source {
            text: text.to_owned(),
        };
        let url = Url::parse(text).map_err(|_| wrong())?;
        if url.scheme() == "file" {
            return url.to_file_path().map(Self::File).map_err(|()| wrong());
        }
        check_url(&url, true)?;
        Ok(Self::Url(url))
    }

    fn place(&self) -> String {
        match self {
            Self::Url(url) => url.to_string(),
            Self::File(path) => path.display().to_string(),
        }
    }
}

impl Registry {
    /// A registry, and the file its index is kept in between fetches; without one it is fetched each time.
    #[must_use]
    pub fn new(
        source: Source,
        cache: Option<PathBuf>,
        fetch: Arc<dyn RegistryFetch>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            source,
            cache,
            fetch,
            clock,
        }
    }

    /// The index: the kept one while it is younger than an hour, unless `refresh` asks for the server's. When the
    /// server cannot be reached or sends something unusable, the kept one is used whatever its age, with a notice.
    /// Small files are read and written in between.
    ///
    /// # Errors
    /// [`RegistryError`] when there is no usable index at all.
    pub async fn index(&self, refresh: bool) -> Result<Listing, RegistryError> {
        let url = match &self.source {
            Source::Url(url) => url,
            Source::File(path) => return self.read(path),
        };
        let now = self.clock.now_ms();
        let kept = self.cache.as_deref().and_then(|path| read_cache(path, url));
        if let Some((cached, index)) = &kept
            && !refresh
            && (0..TTL_MS).contains(&(now - cached.fetched_at.timestamp_millis()))
        {
            return Ok(Listing {
                index: index.clone(),
                fetched_at_ms: cached.fetched_at.timestamp_millis(),
                notice: None,
            });
        }
        let etag = kept.as_ref().and_then(|(cached, _)| cached.etag.clone());
        let error = match self.fetch.get(url, etag.as_deref(), MAX_INDEX).await {
            Ok(Fetched::NotModified) => match kept {
                Some((cached, index)) => {
                    let notice = self.keep(url, etag, cached.registry, now);
                    return Ok(Listing {
                        index,
                        fetched_at_ms: now,
                        notice,
                    });
                }
                None => RegistryError::Fetch(FetchError::Status {
                    url: url.to_string(),
                    status: 304,
                }),
            },
            Ok(Fetched::Body { bytes, etag }) => match parse(&bytes) {
                Ok((index, raw)) => {
                    let notice = self.keep(url, etag, raw, now);
                    return Ok(Listing {
                        index,
                        fetched_at_ms: now,
                        notice,
                    });
                }
                Err(source) => RegistryError::Index {
                    place: url.to_string(),
                    source,
                },
            },
            Err(error) => error.into(),
        };
        let Some((cached, index)) = kept else {
            return Err(error);
        };
        let age = cached.fetched_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        Ok(Listing {
            index,
            fetched_at_ms: cached.fetched_at.timestamp_millis(),
            notice: Some(format!("{error}; this is the index of {age}")),
        })
    }

    /// Downloads what an entry offers: an archive, or a manifest and a script. What the entry said about it comes
    /// back too, for [`PackageStore::plan`](super::PackageStore::plan).
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn download(&self, entry: &IndexEntry) -> Result<(SkillPackage, Offer), RegistryError> {
        let wrong = |source| RegistryError::Package {
            skill: entry.id.clone(),
            source,
        };
        let limit = MAX_ARCHIVE.max(MAX_CODE);
        let content = self.resource(entry, &entry.download_url, limit).await?;
        // Every gzip file begins like this, and no script does.
        let package = if content.starts_with(&[0x1f, 0x8b]) {
            SkillPackage::from_archive(&content)
        } else {
            let manifest = entry.manifest_url.as_deref().unwrap_or_default();
            let manifest = self.resource(entry, manifest, MAX_MANIFEST).await?;
            let manifest = String::from_utf8(manifest).map_err(|_| {
                wrong(PackageError::Encoding {
                    path: "manifest.json".into(),
                })
            })?;
            let script = String::from_utf8(content).map_err(|_| {
                wrong(PackageError::Encoding {
                    path: "index.js".into(),
                })
            })?;
            SkillPackage::from_parts(&manifest, script)
        };
        Ok((package.map_err(wrong)?, entry.offer()))
    }

    /// Reads something an entry names: on the server, or beside the file of a registry on this machine.
    async fn resource(&self, entry: &IndexEntry, text: &str, limit: usize) -> Result<Vec<u8>, RegistryError> {
        let address = |reason: &dyn std::fmt::Display| RegistryError::Address {
            skill: entry.id.clone(),
            text: text.to_owned(),
            reason: reason.to_string(),
        };
        if text.is_empty() {
            return Err(address(&"it is missing"));
        }
        let (url, local) = match &self.source {
            Source::Url(base) => {
                let url = base.join(text).map_err(|error| address(&error))?;
                (url, is_loopback(base))
            }
            Source::File(index) => {
                if Path::new(text).is_absolute() {
                    return read_file(Path::new(text), limit);
                }
                match Url::parse(text) {
                    Ok(url) if url.scheme() == "file" => {
                        let path = url.to_file_path().map_err(|()| address(&"it is not a path"))?;
                        return read_file(&path, limit);
                    }
                    Ok(url) => (url, true),
                    Err(_) => {
                        crate::package::path::check(text).map_err(|error| address(&error))?;
                        let dir = index.parent().unwrap_or(index);
                        return read_file(&dir.join(text), limit);
                    }
                }
            }
        };
        check_url(&url, local)?;
        match self.fetch.get(&url, None, limit).await? {
            Fetched::Body { bytes, .. } => Ok(bytes),
            Fetched::NotModified => Err(FetchError::Status {
                url: url.to_string(),
                status: 304,
            }
            .into()),
        }
    }

    fn read(&self, path: &Path) -> Result<Listing, RegistryError> {
        let bytes = read_file(path, MAX_INDEX)?;
        let (index, _) = parse(&bytes).map_err(|source| RegistryError::Index {
            place: self.source.place(),
            source,
        })?;
        Ok(Listing {
            index,
            fetched_at_ms: self.clock.now_ms(),
            notice: None,
        })
    }

    /// Writes the index to its file; a notice when that fails, as the index itself is good.
    fn keep(&self, url: &Url, etag: Option<String>, registry: Box<RawValue>, now: i64) -> Option<String> {
        let path = self.cache.as_deref()?;
        let cached = Cached {
            fetched_at: DateTime::from_timestamp_millis(now)?,
            url: Some(url.to_string()),
            etag,
            registry,
        };
        let text = serde_json::to_vec(&cached).ok()?;
        let error = write_atomically(path, &text).err()?;
        Some(format!(
            "the index cannot be kept in `{}`: {error}",
            path.display()
        ))
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("source", &self.source)
            .field("cache", &self.cache)
            .finish_non_exhaustive()
    }
}

fn parse(bytes: &[u8]) -> Result<(Index, Box<RawValue>), IndexError> {
    let index = Index::parse(bytes)?;
    let raw = serde_json::from_slice(bytes).map_err(|error| IndexError::Format {
        reason: error.to_string(),
    })?;
    Ok((index, raw))
}

/// The kept index of this registry. A file that cannot be read counts as none: it is fetched again.
fn read_cache(path: &Path, url: &Url) -> Option<(Cached, Index)> {
    // The index, as it was sent, and a few fields around it.
    let bytes = read_file(path, MAX_INDEX + 4096).ok()?;
    let cached: Cached = serde_json::from_slice(&bytes).ok()?;
    if cached.url.as_deref().unwrap_or(DEFAULT_REGISTRY) != url.as_str() {
        return None;
    }
    let index = Index::parse(cached.registry.get().as_bytes()).ok()?;
    Some((cached, index))
}

fn read_file(path: &Path, limit: usize) -> Result<Vec<u8>, RegistryError> {
    let failed = |source| RegistryError::Read {
        path: path.to_owned(),
        source,
    };
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(failed(io::Error::other("it is not a file")));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > limit {
        return Err(FetchError::TooLarge {
            url: path.display().to_string(),
            limit,
        }
        .into());
    }
    Ok(bytes)
}

fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let mut file = fs::File::create(&name)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&name, path)
}
