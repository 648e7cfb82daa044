pub(crate) mod path;

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sha2::{Digest as _, Sha256};

pub use self::path::PathError;
use crate::manifest::MAX_MANIFEST;
use crate::{Manifest, ManifestError};

/// The largest script that is read, in bytes.
const MAX_CODE: usize = 8 * 1024 * 1024;

/// A skill as it is shipped: its manifest and its script. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SkillPackage(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    manifest: Manifest,
    code: String,
    digest: String,
    /// The compiled script; made when the skill first starts.
    bytecode: OnceLock<Arc<[u8]>>,
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
    /// The script lies outside the package directory, for example behind a symbolic link.
    #[error("`{}` lies outside the package directory; ship the script inside it", path.display())]
    Escapes {
        /// Where the script is.
        path: PathBuf,
    },
    /// A file is larger than allowed.
    #[error("{what} has {size} bytes; at most {limit} are read")]
    TooLarge {
        /// Which file.
        what: &'static str,
        /// Its size in bytes.
        size: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A file is not UTF-8.
    #[error("`{}` is not UTF-8 text", path.display())]
    Encoding {
        /// The file.
        path: PathBuf,
    },
}

impl SkillPackage {
    /// Reads `manifest.json` and the script it names from a directory.
    ///
    /// # Errors
    /// [`PackageError`] when a file is missing, too large, not UTF-8, not valid, or when the script (after
    /// resolving symbolic links) lies outside the directory.
    pub fn load(dir: &Path) -> Result<Self, PackageError> {
        let manifest_json = read(&dir.join("manifest.json"), "manifest.json", MAX_MANIFEST)?;
        let manifest = Manifest::parse(&manifest_json)?;
        let resolve = |path: &Path| {
            path.canonicalize().map_err(|source| PackageError::Read {
                path: path.to_owned(),
                source,
            })
        };
        let root = resolve(dir)?;
        let entry = resolve(&dir.join(&manifest.entry))?;
        if !entry.starts_with(&root) {
            return Err(PackageError::Escapes { path: entry });
        }
        let code = read(&entry, "the script", MAX_CODE)?;
        Ok(Self::assemble(&manifest_json, manifest, code))
    }

    /// Builds a package from the text of its manifest and its script.
    ///
    /// # Errors
    /// [`PackageError`] when the manifest is not valid or the script is larger than 8 MB.
    pub fn from_parts(manifest_json: &str, code: String) -> Result<Self, PackageError> {
        let manifest = Manifest::parse(manifest_json)?;
        if code.len() > MAX_CODE {
            return Err(PackageError::TooLarge {
                what: "the script",
                size: code.len(),
                limit: MAX_CODE,
            });
        }
        Ok(Self::assemble(manifest_json, manifest, code))
    }

    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.0.manifest
    }

    /// The SHA-256 of manifest and script in hexadecimal: what a user's consent is bound to.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Whether the script is an ES module: its name ends in `.mjs`.
    pub(crate) fn is_module(&self) -> bool {
        self.manifest().entry.ends_with(".mjs")
    }

    /// The text of a file of the package.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&str> {
        (path == self.manifest().entry).then(|| self.code())
    }

    /// The compiled script, kept for the next start.
    pub(crate) fn bytecode(&self) -> &OnceLock<Arc<[u8]>> {
        &self.0.bytecode
    }

    pub(crate) fn code(&self) -> &str {
        &self.0.code
    }

    fn assemble(manifest_json: &str, manifest: Manifest, code: String) -> Self {
        let mut hash = Sha256::new();
        // The length in front keeps a byte from moving between the two files unnoticed.
        hash.update((manifest_json.len() as u64).to_be_bytes());
        hash.update(manifest_json.as_bytes());
        hash.update(code.as_bytes());
        let digest = hash
            .finalize()
            .iter()
            .fold(String::with_capacity(64), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            });
        Self(Arc::new(Parts {
            manifest,
            code,
            digest,
            bytecode: OnceLock::new(),
        }))
    }
}

fn read(path: &Path, what: &'static str, limit: usize) -> Result<String, PackageError> {
    let failed = |source| PackageError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > limit {
        return Err(PackageError::TooLarge {
            what,
            size: bytes.len(),
            limit,
        });
    }
    String::from_utf8(bytes).map_err(|_| PackageError::Encoding {
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_covers_manifest_and_code() {
        let one = SkillPackage::from_parts(r#"{"id":"a","name":"A"}"#, "1".into()).unwrap();
        let two = SkillPackage::from_parts(r#"{"id":"a","name":"A"} "#, "1".into()).unwrap();
        let three = SkillPackage::from_parts(r#"{"id":"a","name":"A"}"#, " 1".into()).unwrap();
        assert_eq!(one.digest().len(), 64);
        assert!(one.digest() != two.digest() && two.digest() != three.digest());
    }

    #[test]
    fn a_package_is_loaded_from_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(
            dir.path().join("manifest.json"),
            r#"{"id":"a","name":"A","entry":"dist/x.js"}"#,
        )
        .unwrap();
        assert!(matches!(
            SkillPackage::load(dir.path()),
            Err(PackageError::Read { .. })
        ));
        fs::create_dir(dir.path().join("dist")).unwrap();
        fs::write(dir.path().join("dist/x.js"), "1").unwrap();
        assert_eq!(SkillPackage::load(dir.path()).unwrap().code(), "1");
    }

    #[cfg(unix)]
    #[test]
    fn a_symbolic_link_cannot_leave_the_package() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret.js"), "1").unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("manifest.json"), r#"{"id":"a","name":"A"}"#).unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.js"), dir.path().join("index.js")).unwrap();
        assert!(matches!(
            SkillPackage::load(dir.path()),
            Err(PackageError::Escapes { .. })
        ));
    }
}
