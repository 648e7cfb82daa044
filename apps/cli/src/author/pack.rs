//! `openhuman skills pack`, `sign` and `keygen`.

use std::fs;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};

use openhuman::skills::kit::{self, Level, template};
use openhuman::skills::{SigningKey, SkillPackage};
use serde_json::json;

use super::check::print_finding;
use super::{Keygen, Pack, Sign, failed, io_failed};
use crate::args::Global;
use crate::exit::{Code, Failure};
use crate::output::{self, line};
use crate::style::{BOLD, DIM, GOOD};

const SIGNATURE: &str = "signature.json";
/// How a signing key starts, whatever its file is called: it never goes into a package.
const KEY_START: &[u8] = b"openhuman-skill-key-";
/// The largest key file and the largest archive that are read, in bytes.
const MAX_KEY: u64 = 4096;
const MAX_ARCHIVE: u64 = 16 * 1024 * 1024;

pub(super) async fn pack(global: &Global, pack: &Pack) -> Result<(), Failure> {
    let whole = super::load(&pack.dir)?;
    let report = kit::check(&whole)
        .await
        .map_err(|error| Failure::new(Code::Failed, error.to_string()))?;
    if !report.passed() {
        let wrong = || {
            report
                .findings
                .iter()
                .filter(|finding| finding.level == Level::Error)
        };
        if global.json {
            let first = wrong().next().map(|finding| finding.message.clone());
            return Err(Failure::new(Code::Failed, first.unwrap_or_default()));
        }
        wrong().try_for_each(print_finding)?;
        return Err(Failure::new(
            Code::Failed,
            "nothing was packed: the skill does not pass its checks",
        ));
    }
    let own = |path: &str, bytes: &[u8]| template::is_authors_own(path) || bytes.starts_with(KEY_START);
    let kept = whole.files().filter(|(path, bytes)| !own(path, bytes));
    let package = SkillPackage::from_files(kept.map(|(path, bytes)| (path.to_owned(), bytes.to_vec())));
    let mut package = package.map_err(|error| failed(&error))?;
    if let Some(key) = &pack.key {
        package = package.signed(&read_key(key)?);
    }
    let manifest = package.manifest();
    let version = manifest.version.as_deref().unwrap_or("0");
    let usual = format!("{}-{}.tar.gz", manifest.id, safe(version));
    let path = pack.output.clone().unwrap_or_else(|| PathBuf::from(usual));
    let bytes = package.to_archive().map_err(|error| failed(&error))?;
    if path == Path::new("-") {
        return to_output(&bytes);
    }
    refuse_sources(&path)?;
    replace(&path, &bytes).map_err(|error| io_failed("write", &path, &error))?;
    told(global, "Packed", &path, &package, Some(bytes.len()))
}

/// Writes an archive to standard output, and nothing else.
fn to_output(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        let message =
            "an archive is nothing to look at; send standard output into a file, or name one with -o FILE";
        return Err(Failure::new(Code::Usage, message));
    }
    out.write_all(bytes)?;
    Ok(out.flush()?)
}

/// Only an archive may be in the place of the new one: a slip of the hand must not cost a source file.
fn refuse_sources(path: &Path) -> Result<(), Failure> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_failed("write", path, &error)),
    };
    let mut start = Vec::new();
    let is_archive = metadata.is_file()
        && fs::File::open(path)
            .and_then(|file| file.take(2).read_to_end(&mut start))
            .is_ok()
        && start == [0x1f, 0x8b];
    if is_archive {
        return Ok(());
    }
    let message = format!(
        "{} is there already and is no packed skill; choose another file with -o",
        path.display()
    );
    Err(Failure::new(Code::Usage, message))
}

/// A version as a part of a file's name.
fn safe(version: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+');
    version.chars().filter(|c| plain(*c)).take(64).collect()
}

pub(super) fn sign(global: &Global, sign: &Sign) -> Result<(), Failure> {
    let key = read_key(&sign.key)?;
    if sign.target.is_dir() {
        let package = super::load(&sign.target)?.signed(&key);
        let path = sign.target.join(SIGNATURE);
        let text = package
            .signature()
            .map(openhuman::skills::Signature::to_json)
            .unwrap_or_default();
        fs::write(&path, text).map_err(|error| io_failed("write", &path, &error))?;
        return told(global, "Signed", &sign.target, &package, None);
    }
    let bytes = read_file(&sign.target, MAX_ARCHIVE)?;
    let package = SkillPackage::from_archive(&bytes).map_err(|error| failed(&error))?;
    let package = package.signed(&key);
    let bytes = package.to_archive().map_err(|error| failed(&error))?;
    replace(&sign.target, &bytes).map_err(|error| io_failed("write", &sign.target, &error))?;
    told(global, "Signed", &sign.target, &package, Some(bytes.len()))
}

/// Replaces a file at once: a full disk leaves the old one.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let mut file = tempfile::NamedTempFile::new_in(dir.unwrap_or(Path::new(".")))?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Reads a plain file of at most `limit` bytes: no device and no pipe.
fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let metadata = fs::metadata(path).map_err(|error| io_failed("read", path, &error))?;
    if !metadata.is_file() || metadata.len() > limit {
        let shown = path.display();
        let message = format!("{shown} is not a file of at most {limit} bytes");
        return Err(Failure::new(Code::Failed, message));
    }
    fs::read(path).map_err(|error| io_failed("read", path, &error))
}

fn read_key(path: &Path) -> Result<SigningKey, Failure> {
    let text = String::from_utf8(read_file(path, MAX_KEY)?).unwrap_or_default();
    SigningKey::from_text(&text).map_err(|_| {
        let shown = path.display();
        Failure::new(
            Code::Failed,
            format!("{shown} is no key; `openhuman skills keygen FILE` makes one"),
        )
    })
}

fn told(
    global: &Global,
    verb: &str,
    path: &Path,
    package: &SkillPackage,
    size: Option<usize>,
) -> Result<(), Failure> {
    let signer = package.signature().map(openhuman::skills::Signature::key);
    let files = package.files().count();
    if global.json {
        return output::json(&json!({
            "path": path,
            "id": package.manifest().id.as_str(),
            "version": package.manifest().version,
            "digest": package.digest(),
            "files": files,
            "bytes": size,
            "key": signer.map(|key| key.to_string()),
        }));
    }
    let size = size.map_or_else(String::new, |size| format!(", {} KB", size.div_ceil(1024)));
    line(format_args!(
        "{GOOD}{verb}{GOOD:#} {BOLD}{}{BOLD:#}  {DIM}{files} files{size}{DIM:#}",
        path.display()
    ))?;
    line(format_args!("  digest  {}", package.digest()))?;
    match signer {
        Some(key) => line(format_args!("  key     {key}  {DIM}{}{DIM:#}", key.fingerprint())),
        None => line(format_args!(
            "  {DIM}not signed: `openhuman skills sign FILE --key KEY`{DIM:#}"
        )),
    }
}

pub(super) fn keygen(global: &Global, keygen: &Keygen) -> Result<(), Failure> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Failure::new(Code::Failed, format!("no randomness for a key: {error}")))?;
    let key = SigningKey::from_seed(&seed);
    let path = &keygen.file;
    let failed = |error| io_failed("write", path, &error);
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path).map_err(failed)?;
    file.write_all(key.to_text().as_bytes()).map_err(failed)?;
    let public = key.public();
    if global.json {
        let key = public.to_string();
        return output::json(&json!({ "path": path, "key": key, "fingerprint": public.fingerprint() }));
    }
    line(format_args!(
        "{GOOD}Wrote{GOOD:#} {BOLD}{}{BOLD:#}  {DIM}keep it to yourself, and keep a copy{DIM:#}",
        path.display()
    ))?;
    line(format_args!(
        "  key     {public}  {DIM}{}{DIM:#}",
        public.fingerprint()
    ))
}
