//! The bodies of the fuzz targets: each takes arbitrary bytes and panics when an invariant does not hold. They are
//! here, not in `fuzz/`, so that they reach what is private and are tested on stable Rust too.

use serde_json::Value;

use crate::hooks::{HookEvent, HookTable};
pub use crate::net::fuzz_egress as egress;
use crate::registry::{Index, Lockfile, Offer, decide};
use crate::schedule::{Options, Plan};
use crate::{Manifest, PackageError, Signature, SkillId, SkillPackage};

/// A manifest that is accepted is accepted again as it stands, keeps its entry inside the package, and every problem
/// of one that is not lies in the text.
pub fn manifest(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let lints = Manifest::lint(text);
    let problems = match Manifest::parse(text) {
        Ok(manifest) => {
            assert!(crate::package::path::check(&manifest.entry).is_ok());
            assert!(SkillId::new(manifest.id.as_str()).is_ok());
            assert!((1..=256).contains(&manifest.memory_limit_mb));
            let _ = crate::Grant::from_manifest(&manifest);
            Vec::new()
        }
        Err(PackageError::Manifest(error)) => {
            assert!(!error.problems().is_empty() && !error.to_string().is_empty());
            error.problems().to_vec()
        }
        Err(_) => Vec::new(),
    };
    let lines = text.split('\n').count();
    for problem in problems.iter().chain(&lints) {
        assert!((1..=lines + 1).contains(&problem.line), "{problem}");
    }
}

/// The index of a registry: every entry kept has a valid id, once.
pub fn index(data: &[u8]) {
    let Ok(index) = Index::parse(data) else {
        return;
    };
    let installed = Lockfile::default();
    for (place, entry) in index.entries.iter().enumerate() {
        let first = index.entries.iter().position(|other| other.id == entry.id);
        assert_eq!(first, Some(place));
        assert!(!entry.beside(&installed).update_available);
    }
    assert_eq!(index.search("").count(), index.entries.len());
}

/// An archive, or (after a first byte below 128) what it would unpack to. What is read is written and read the same.
pub fn archive(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    let package = if *kind < 128 {
        SkillPackage::from_archive(&crate::package::compress(data))
    } else {
        SkillPackage::from_archive(data)
    };
    let Ok(package) = package else { return };
    for (path, content) in package.files() {
        assert!(crate::package::path::check(path).is_ok());
        assert_eq!(package.file_bytes(path), Some(content));
    }
    let again = package
        .to_archive()
        .and_then(|bytes| SkillPackage::from_archive(&bytes));
    let again = again.expect("what was read can be written and read");
    assert_eq!(
        (again.listing(), again.signature()),
        (package.listing(), package.signature())
    );
    let _ = decide(None, &package, &Offer::default());
}

/// A signature (first byte even) or a lockfile (odd): what is read survives its text, and no signature is forged.
pub fn signature_and_lockfile(data: &[u8]) {
    let Some((kind, data)) = data.split_first() else {
        return;
    };
    if kind % 2 == 0 {
        let Ok(signature) = Signature::from_json(data) else {
            return;
        };
        let again = Signature::from_json(signature.to_json().as_bytes());
        assert_eq!(again.as_ref(), Ok(&signature));
        // Nobody signed this.
        assert!(signature.verify(&"0".repeat(64)).is_err());
    } else {
        let Ok(text) = std::str::from_utf8(data) else {
            return;
        };
        let Ok(lockfile) = Lockfile::parse(text) else {
            return;
        };
        assert_eq!(Lockfile::parse(&lockfile.to_json()).as_ref(), Ok(&lockfile));
    }
}

/// A schedule: eight bytes of time, then the expression, and after a line break the time zone. Each moment lies after
/// the one before.
pub fn cron(data: &[u8]) {
    let Some((time, text)) = data.split_first_chunk::<8>() else {
        return;
    };
    let Ok(text) = std::str::from_utf8(text) else {
        return;
    };
    let (expression, zone) = text
        .split_once('\n')
        .map_or((text, None), |(one, two)| (one, Some(two)));
    let options = Options {
        timezone: zone.map(str::to_owned),
        ..Options::default()
    };
    let Ok(plan) = Plan::new(expression, options) else {
        return;
    };
    let mut now = i64::from_le_bytes(*time);
    for _ in 0..4 {
        let Some(next) = plan.next_after(now) else { return };
        assert!(next > now, "{next} after {now}");
        now = next;
    }
}

/// Hooks: a JSON array of definitions and events, `[hook, hook, .., event]`, in any order.
pub fn hooks(data: &[u8]) {
    let Ok(Value::Array(values)) = serde_json::from_slice::<Value>(data) else {
        return;
    };
    let (Ok(one), Ok(two)) = (SkillId::new("one"), SkillId::new("two")) else {
        return;
    };
    let mut table = HookTable::default();
    for (place, value) in values.iter().enumerate() {
        let now = i64::try_from(place).unwrap_or_default() * 1000;
        if table.register(&one, value).is_ok() {
            let id = value.get("id").and_then(Value::as_str).unwrap_or_default();
            let _ = table.update(&one, id, &values[0]);
            let _ = table.accumulation_state(&one, id);
        }
        if let Ok(event) = HookEvent::parse(value, &two, now) {
            let _ = table.emit(&event, now, |_| true);
        }
        let _ = table.expire(now);
    }
    let _ = table.list(&one);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every file of the corpus of a target, so that what it found once stays found.
    fn corpus(target: &str) -> Vec<Vec<u8>> {
        let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(target);
        let files = std::fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
        let contents: Vec<_> = files
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect();
        assert!(!contents.is_empty(), "{target}");
        contents
    }

    #[test]
    fn the_corpora_hold() {
        type Target = (&'static str, fn(&[u8]));
        let targets: [Target; 7] = [
            ("manifest", manifest),
            ("index", index),
            ("archive", archive),
            ("signature", signature_and_lockfile),
            ("egress", egress),
            ("cron", cron),
            ("hooks", hooks),
        ];
        for (target, run) in targets {
            for input in corpus(target) {
                run(&input);
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_hold(data in proptest::collection::vec(any::<u8>(), 0..600)) {
            for run in [manifest, index, archive, signature_and_lockfile, egress, cron, hooks] {
                run(&data);
            }
        }
    }
}
