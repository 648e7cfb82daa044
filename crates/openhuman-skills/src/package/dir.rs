//! Reads the files of a directory.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::PackageError;
use super::files::{FileSet, limit_of};
use super::path::PathError;

/// How deep directories are followed.
const MAX_DEPTH: usize = 16;
/// How many entries of directories are looked at.
const MAX_ENTRIES: usize = 4096;

/// Every file that belongs to a package: hidden ones and `node_modules` do not, unless `everything` is asked for.
pub(super) fn read(dir: &Path, everything: bool) -> Result<FileSet, PackageError> {
    let root = dir.canonicalize().map_err(|source| PackageError::Read {
        path: dir.to_owned(),
        source,
    })?;
    let mut files = FileSet::default();
    let mut entries = 0;
    let mut open = vec![(root.clone(), String::new(), 0)];
    while let Some((dir, prefix, depth)) = open.pop() {
        let failed = |source| PackageError::Read {
            path: dir.clone(),
            source,
        };
        for entry in fs::read_dir(&dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            entries += 1;
            if entries > MAX_ENTRIES {
                return Err(PackageError::TooMany { limit: MAX_ENTRIES });
            }
            let path = entry.path();
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                return Err(PackageError::Path {
                    path: format!("{prefix}{}", name.to_string_lossy()),
                    reason: PathError::Encoding,
                });
            };
            if !everything && (name.starts_with('.') || name == "node_modules") {
                continue;
            }
            let kind = entry.file_type().map_err(failed)?;
            let name = format!("{prefix}{name}");
            if kind.is_dir() {
                if depth >= MAX_DEPTH {
                    return Err(PackageError::Path {
                        path: name,
                        reason: PathError::TooLong,
                    });
                }
                open.push((path, format!("{name}/"), depth + 1));
                continue;
            }
            let path = if kind.is_symlink() {
                resolve(&root, &path)?
            } else {
                path
            };
            let content = read_file(&path, &name)?;
            files.insert(name, content)?;
        }
    }
    Ok(files)
}

/// The file behind a symbolic link, if it lies in the package.
fn resolve(root: &Path, link: &Path) -> Result<PathBuf, PackageError> {
    let target = link.canonicalize().map_err(|source| PackageError::Read {
        path: link.to_owned(),
        source,
    })?;
    if target.starts_with(root) {
        Ok(target)
    } else {
        Err(PackageError::Escapes { path: target })
    }
}

fn read_file(path: &Path, name: &str) -> Result<Vec<u8>, PackageError> {
    // One byte more than allowed shows that there is more.
    read_at_most(path, limit_of(name) + 1)
}

/// The first bytes of a file.
pub(super) fn read_at_most(path: &Path, limit: usize) -> Result<Vec<u8>, PackageError> {
    let failed = |source: io::Error| PackageError::Read {
        path: path.to_owned(),
        source,
    };
    // Looked at before it is opened: opening a pipe would wait for its writer.
    if !fs::symlink_metadata(path).map_err(failed)?.is_file() {
        return Err(PackageError::NotAFile {
            path: path.to_owned(),
        });
    }
    let mut content = Vec::new();
    let file = fs::File::open(path).map_err(failed)?;
    file.take(limit as u64)
        .read_to_end(&mut content)
        .map_err(failed)?;
    Ok(content)
}
