//! A skill as it is shipped: a manifest, a script, and whatever files the script needs.

mod archive;
mod dir;
mod files;
pub(crate) mod path;
pub(crate) mod signature;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

pub(crate) use self::archive::{MAX_ARCHIVE, compress};
pub use self::files::FileHash;
pub(crate) use self::files::{FileSet, is_sha256};
pub use self::path::PathError;
pub use self::signature::{InvalidKey, PublicKey, Signature, SignatureError, SigningKey};
use crate::manifest::MAX_MANIFEST;
use crate::{Manifest, ManifestError};

/// The name of the manifest inside a package.
const MANIFEST: &str = "manifest.json";
/// The name of the signature inside a package: it is not part of what is hashed.
pub(crate) const SIGNATURE: &str = "signature.json";
/// The largest script that is read, in bytes.
pub(crate) const MAX_CODE: usize = 8 * 1024 * 1024;

/// A skill as it is shipped: its manifest, its script and its other files. Cheap to clone.
///
/// ```
/// use openhuman_skills::SkillPackage;
/// let package = SkillPackage::from_files([
///     ("manifest.json", br#"{"id":"greeter","name":"Greeter"}"#.to_vec()),
///     ("index.js", b"globalThis.tools = [];".to_vec()),
///     ("words/en.json", br#"{"hello":"Hello"}"#.to_vec()),
/// ])?;
/// assert_eq!(package.file("words/en.json"), Some(r#"{"hello":"Hello"}"#));
///
/// // The archive holds the same files, so it has the same digest.
/// let copy = SkillPackage::from_archive(&package.to_archive()?)?;
/// assert_eq!(copy.digest(), package.digest());
/// # Ok::<(), openhuman_skills::PackageError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SkillPackage(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    manifest: Manifest,
    files: FileSet,
    listing: String,
    digest: String,
    /// The compiled script; made when the skill first starts.
    bytecode: OnceLock<Arc<[u8]>>,
    signature: Option<Signature>,
}

/// Why a package cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The manifest is not usable.
    #[error("manifest.json is not usable: {0}")]
    Manifest(#[from] ManifestError),
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: std::io::Error,
    },
    /// The manifest or the script it names is not in the package.
    #[error("the package has no `{path}`; add the file, or correct `entry` in manifest.json")]
    Missing {
        /// The file.
        path: String,
    },
    /// A file lies outside the package directory, for example behind a symbolic link.
    #[error("`{}` lies outside the package directory; ship the file inside it", path.display())]
    Escapes {
        /// Where the file is.
        path: PathBuf,
    },
    /// Something in the directory is neither a file nor a directory.
    #[error("`{}` is neither a file nor a directory; a package holds nothing else", path.display())]
    NotAFile {
        /// What was found.
        path: PathBuf,
    },
    /// A file has a name that is not allowed.
    #[error("`{path}` cannot be the path of a file in a package: {reason}")]
    Path {
        /// The path as it was written.
        path: String,
        /// What is wrong with it.
        reason: PathError,
    },
    /// Two paths are the same file on some system.
    #[error("`{one}` and `{two}` are the same file on some systems; rename one")]
    Collision {
        /// The first path.
        one: String,
        /// The second path.
        two: String,
    },
    /// A file, or the whole package, is larger than allowed.
    #[error("{what} has {size} bytes or more; at most {limit} are read")]
    TooLarge {
        /// Which file.
        what: String,
        /// Its size in bytes, or as much of it as was looked at.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The package holds too many files.
    #[error("the package holds more than {limit} files; bundle the script, and keep dependencies out")]
    TooMany {
        /// The limit.
        limit: usize,
    },
    /// A file that must be text is not UTF-8.
    #[error("`{}` is not UTF-8 text", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
    },
    /// The archive is damaged or holds what packages do not.
    #[error("the archive is not a skill package: {reason}; pack it again with `openhuman skills pack`")]
    Archive {
        /// What is wrong with it.
        reason: String,
    },
    /// The package is signed, and the signature is wrong.
    #[error("the signature does not hold: {0}")]
    Signature(#[from] SignatureError),
}

impl SkillPackage {
    /// Reads a package from a directory: every file in it, except those that begin with a dot and `node_modules`.
    ///
    /// # Errors
    /// [`PackageError`] when the manifest or the script is missing or not valid; when a path is not allowed, or a
    /// symbolic link leaves the directory; above 512 files, 8 MB for one or 32 MB for all; and when there is a
    /// `signature.json` that does not hold.
    pub fn load(dir: &Path) -> Result<Self, PackageError> {
        Self::assemble(dir::read(dir, false)?)
    }

    /// As [`SkillPackage::load`], for the directory its author works in: a signature that does not hold any more, as
    /// after each edit, is left out and returned beside the package.
    ///
    /// # Errors
    /// As [`SkillPackage::load`], without those of the signature.
    pub fn load_edited(dir: &Path) -> Result<(Self, Option<SignatureError>), PackageError> {
        let mut files = dir::read(dir, false)?;
        match Self::assemble(files.clone()) {
            Err(PackageError::Signature(stale)) => {
                files.take_signature();
                Ok((Self::assemble(files)?, Some(stale)))
            }
            other => other.map(|package| (package, None)),
        }
    }

    /// Builds a package from the text of its manifest and its script.
    ///
    /// # Errors
    /// [`PackageError`] when the manifest is not valid or the script is larger than 8 MB.
    pub fn from_parts(manifest_json: &str, code: String) -> Result<Self, PackageError> {
        let entry = Manifest::parse(manifest_json)?.entry;
        Self::from_files([
            (MANIFEST.to_owned(), manifest_json.as_bytes().to_vec()),
            (entry, code.into_bytes()),
        ])
    }

    /// Builds a package from paths and contents, in any order. A `signature.json` among them is the signature.
    ///
    /// # Errors
    /// As [`SkillPackage::load`].
    pub fn from_files<P: Into<String>>(
        files: impl IntoIterator<Item = (P, Vec<u8>)>,
    ) -> Result<Self, PackageError> {
        let mut set = FileSet::default();
        for (path, content) in files {
            set.insert(path.into(), content)?;
        }
        Self::assemble(set)
    }

    /// Reads a package from an archive written by [`SkillPackage::to_archive`].
    ///
    /// # Errors
    /// As [`SkillPackage::load`]; [`PackageError::Archive`] when the container is damaged, holds links, or unpacks
    /// to more than 200 times its size.
    pub fn from_archive(bytes: &[u8]) -> Result<Self, PackageError> {
        Self::assemble(archive::read(bytes)?)
    }

    /// Reads a package from an archive in a file.
    ///
    /// # Errors
    /// As [`SkillPackage::from_archive`], and [`PackageError::Read`] when the file cannot be read.
    pub fn read_archive(path: &Path) -> Result<Self, PackageError> {
        Self::from_archive(&dir::read_at_most(path, archive::MAX_ARCHIVE + 1)?)
    }

    /// The package as one file: a gzip-compressed tar archive. The same files give the same bytes.
    ///
    /// # Errors
    /// None that a package can cause: its paths and sizes fit the format.
    pub fn to_archive(&self) -> Result<Vec<u8>, PackageError> {
        let signature = self.0.signature.as_ref().map(Signature::to_json);
        archive::write(&self.0.files, signature.as_deref())
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The digest in hexadecimal: the SHA-256 of [`SkillPackage::listing`], so of every file's path, size and
    /// content. What a user's consent is bound to and what a publisher signs.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Whether the script is an ES module: the manifest says so, or its name ends in `.mjs`.
    pub(crate) fn is_module(&self) -> bool {
        self.manifest().module || self.manifest().entry.ends_with(".mjs")
    }

    /// The compiled script, kept for the next start.
    pub(crate) fn bytecode(&self) -> &OnceLock<Arc<[u8]>> {
        &self.0.bytecode
    }

    /// The list the digest is made of: a first line that names the format, then for each file, by path,
    /// `SHA-256 in hexadecimal`, size and path, separated by single spaces.
    #[must_use]
    pub fn listing(&self) -> &str {
        &self.0.listing
    }

    /// The text of a file. `None` when there is no such file or it is not UTF-8.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&str> {
        self.0.files.text(path)
    }

    /// The content of a file. `None` when there is no such file.
    #[must_use]
    pub fn file_bytes(&self, path: &str) -> Option<&[u8]> {
        self.0.files.bytes(path)
    }

    /// Every file's path and content, by path, the manifest and the script included, the signature not.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.files.iter()
    }

    /// Every file's path, size and SHA-256, by path.
    pub fn hashes(&self) -> impl Iterator<Item = (&str, FileHash)> {
        self.0.files.hashes()
    }

    /// The publisher's signature; it holds, but says nothing about who the publisher is.
    #[must_use]
    pub fn signature(&self) -> Option<&Signature> {
        self.0.signature.as_ref()
    }

    /// The same package with the signature of `key`, in place of any other.
    #[must_use]
    pub fn signed(&self, key: &SigningKey) -> Self {
        let parts = &self.0;
        Self(Arc::new(Parts {
            manifest: parts.manifest.clone(),
            files: parts.files.clone(),
            listing: parts.listing.clone(),
            digest: parts.digest.clone(),
            signature: Some(Signature::sign(key, &parts.digest)),
            bytecode: OnceLock::new(),
        }))
    }

    pub(crate) fn code(&self) -> &str {
        self.file(&self.0.manifest.entry).unwrap_or_default()
    }

    fn assemble(mut files: FileSet) -> Result<Self, PackageError> {
        let signature = files.take_signature();
        let text = |path: &str, files: &FileSet| match (files.text(path), files.bytes(path)) {
            (Some(text), _) => Ok(text.to_owned()),
            (None, Some(_)) => Err(PackageError::Encoding { path: path.into() }),
            (None, None) => Err(PackageError::Missing {
                path: path.to_owned(),
            }),
        };
        let manifest = Manifest::parse(&text(MANIFEST, &files)?)?;
        if matches!(manifest.entry.as_str(), MANIFEST | SIGNATURE) {
            return Err(PackageError::Missing {
                path: "index.js".to_owned(),
            });
        }
        text(&manifest.entry, &files)?;
        files.check()?;
        let listing = files.listing();
        let digest = files::hex_sha256(listing.as_bytes());
        let signature = match signature {
            Some(bytes) => {
                let signature = Signature::from_json(&bytes)?;
                signature.verify(&digest)?;
                Some(signature)
            }
            None => None,
        };
        Ok(Self(Arc::new(Parts {
            manifest,
            files,
            listing,
            digest,
            signature,
            bytecode: OnceLock::new(),
        })))
    }
}

/// Every file of a directory that holds a package and nothing else: hidden files count too.
pub(crate) fn read_exactly(dir: &Path) -> Result<FileSet, PackageError> {
    dir::read(dir, true)
}

/// Builds a package from files whose hashes were checked. The signature is the one given, whatever the files say.
pub(crate) fn from_verified(
    mut files: FileSet,
    signature: Option<&str>,
) -> Result<SkillPackage, PackageError> {
    files.take_signature();
    if let Some(json) = signature {
        files.insert(SIGNATURE.to_owned(), json.as_bytes().to_vec())?;
    }
    SkillPackage::assemble(files)
}

#[cfg(test)]
mod tests;
