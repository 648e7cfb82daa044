use std::sync::Mutex;

use super::super::{Decision, VersionChange};
use super::*;
use crate::SigningKey;

fn id() -> SkillId {
    SkillId::new("a").unwrap()
}

/// A package with files in nested directories.
fn package(version: &str) -> SkillPackage {
    let manifest = format!(r#"{{"id":"a","name":"A","version":"{version}"}}"#);
    SkillPackage::from_files([
        ("manifest.json", manifest.into_bytes()),
        ("index.js", format!("// {version}").into_bytes()),
        ("data/deep/x.bin", vec![0xff; 3000]),
        ("data/y.json", b"{}".to_vec()),
    ])
    .unwrap()
}

fn install(store: &PackageStore, package: &SkillPackage) -> Result<Installed, StoreError> {
    let plan = store.plan(package.clone(), &Offer::default())?;
    store.install(plan.approve(), 7)
}

#[test]
fn a_package_is_installed_updated_rolled_back_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = PackageStore::open(dir.path()).unwrap();
    let (one, two) = (package("1.0.0"), package("1.1.0"));
    let plan = store.plan(one.clone(), &Offer::default()).unwrap();
    assert!(plan.needs_consent() && plan.version() == VersionChange::New);
    assert!(matches!(
        store.install(plan.clone(), 0),
        Err(StoreError::NeedsConsent { .. })
    ));
    assert!(store.get(&id()).unwrap().is_none());
    store.install(plan.approve(), 7).unwrap();
    assert_eq!(store.load(&id()).unwrap().listing(), one.listing());

    install(&store, &two).unwrap();
    assert_eq!(store.get(&id()).unwrap().unwrap().installed_at_ms, 7);
    assert_eq!(store.load(&id()).unwrap().digest(), two.digest());
    assert_eq!(store.rollback(&id()).unwrap().digest, one.digest());
    assert_eq!(store.load(&id()).unwrap().digest(), one.digest());
    assert_eq!(store.rollback(&id()).unwrap().digest, two.digest());

    assert!(store.uninstall(&id()).unwrap());
    assert!(!store.uninstall(&id()).unwrap());
    assert!(matches!(store.load(&id()), Err(StoreError::NotInstalled { .. })));
    assert!(!dir.path().join("a").exists());
}

#[test]
fn tampered_files_are_refused_with_their_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = PackageStore::open(dir.path()).unwrap();
    let installed = install(&store, &package("1.0.0").signed(&SigningKey::from_seed(&[1; 32]))).unwrap();
    let home = dir.path().join(&installed.directory);
    assert!(store.load(&id()).unwrap().signature().is_some());
    let problem = || match store.load(&id()) {
        Err(StoreError::Tampered { file, what, .. }) => (file, what),
        other => panic!("{other:?}"),
    };
    let script = home.join("index.js");
    let content = fs::read(&script).unwrap();
    fs::write(&script, "// 1.0.1").unwrap();
    assert_eq!(problem(), ("index.js".to_owned(), Tampering::Changed));
    fs::remove_file(&script).unwrap();
    assert_eq!(problem(), ("index.js".to_owned(), Tampering::Missing));
    fs::write(&script, content).unwrap();
    fs::write(home.join("data/.more.js"), "1").unwrap();
    assert_eq!(problem(), ("data/.more.js".to_owned(), Tampering::Added));
    fs::remove_file(home.join("data/.more.js")).unwrap();
    store.load(&id()).unwrap();
    // A package that cannot be read is installed again, with everything asked anew.
    fs::write(&script, "x").unwrap();
    install(&store, &package("1.0.0").signed(&SigningKey::from_seed(&[1; 32]))).unwrap();
    store.load(&id()).unwrap();
}

#[test]
fn a_plan_holds_only_for_what_was_installed_then() {
    let dir = tempfile::tempdir().unwrap();
    let store = PackageStore::open(dir.path()).unwrap();
    let plan = store.plan(package("1.0.0"), &Offer::default()).unwrap().approve();
    install(&store, &package("1.1.0")).unwrap();
    assert!(matches!(store.install(plan, 0), Err(StoreError::Outdated { .. })));
    let plan = store.plan(package("1.0.0"), &Offer::default()).unwrap();
    assert_eq!(plan.version(), VersionChange::Older);
    assert!(plan.needs_consent() && plan.to_string().contains("older"));
}

#[test]
fn wider_permissions_ask_and_the_key_is_pinned() {
    let dir = tempfile::tempdir().unwrap();
    let store = PackageStore::open(dir.path()).unwrap();
    let key = SigningKey::from_seed(&[1; 32]);
    let make = |version: &str, hosts: &str| {
        let manifest =
            format!(r#"{{"id":"a","name":"A","version":"{version}","permissions":{{"net":[{hosts}]}}}}"#);
        SkillPackage::from_parts(&manifest, "1".into()).unwrap()
    };
    let (one, two) = (r#"{"host":"a.org"}"#, r#"{"host":"a.org"},{"host":"b.org"}"#);
    install(&store, &make("1.0.0", one).signed(&key)).unwrap();
    let plan = store
        .plan(make("1.0.1", one).signed(&key), &Offer::default())
        .unwrap();
    assert!(!plan.needs_consent() && plan.permissions().is_empty());
    store.install(plan, 0).unwrap();
    let plan = store
        .plan(make("1.0.2", two).signed(&key), &Offer::default())
        .unwrap();
    assert_eq!(*plan.decision(), Decision::Install);
    assert!(plan.needs_consent());
    assert_eq!(plan.permissions().to_string(), "+ reach b.org");
    let plan = store.plan(make("1.0.2", one), &Offer::default()).unwrap();
    assert!(matches!(
        store.install(plan.approve(), 0),
        Err(StoreError::Refused { .. })
    ));
    let other = SigningKey::from_seed(&[2; 32]);
    let plan = store
        .plan(make("1.0.2", one).signed(&other), &Offer::default())
        .unwrap();
    assert!(matches!(plan.decision(), Decision::AskKeyChange { .. }));
    store.install(plan.approve(), 0).unwrap();
}

#[test]
fn an_update_that_takes_credentials_to_another_host_asks_even_when_the_host_is_granted() {
    let dir = tempfile::tempdir().unwrap();
    let store = PackageStore::open(dir.path()).unwrap();
    let key = SigningKey::from_seed(&[1; 32]);
    let make = |version: &str, base: &str| {
        let manifest = format!(
            r#"{{"id":"a","name":"A","version":"{version}","permissions":{{"net":[{{"host":"a.org"}},{{"host":"b.org"}}]}},
                "setup":{{"auth":{{"modes":[{{"type":"text","apiBaseUrl":"{base}"}}]}}}}}}"#
        );
        SkillPackage::from_parts(&manifest, "1".into())
            .unwrap()
            .signed(&key)
    };
    install(&store, &make("1.0.0", "https://a.org/api")).unwrap();
    let plan = |package| store.plan(package, &Offer::default()).unwrap();
    assert!(!plan(make("1.0.1", "https://a.org/v2")).needs_consent());
    let moved = plan(make("1.0.1", "https://b.org/api"));
    assert!(moved.needs_consent());
    assert_eq!(moved.permissions().to_string(), "+ send its credentials to b.org");
    assert!(matches!(
        store.install(moved, 0),
        Err(StoreError::NeedsConsent { .. })
    ));
}

#[test]
fn one_change_at_a_time_and_a_dropped_one_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = PackageStore::open(dir.path()).unwrap();
    let plan = store.plan(package("1.0.0"), &Offer::default()).unwrap().approve();
    let staged = store.stage(plan.clone()).unwrap();
    assert!(matches!(store.stage(plan), Err(StoreError::Busy { .. })));
    assert!(matches!(store.uninstall(&id()), Err(StoreError::Busy { .. })));
    drop(staged);
    assert!(store.lockfile().unwrap().skills.is_empty());
    assert_eq!(fs::read_dir(dir.path().join("a")).unwrap().count(), 0);
}

/// What a disk may do when the power fails.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Loses {
    /// Everything asked for is there.
    Nothing,
    /// Contents that were not put on the disk are half there.
    Contents,
    /// Names that were not put on the disk are as they were before.
    Names,
}

/// From, to, and what stood there before.
type Rename = (PathBuf, PathBuf, Option<Vec<u8>>);

/// A file system that fails at its n-th step and at each one after it, as if the power was gone.
struct FailingDisk {
    left: Mutex<Option<usize>>,
    steps: Mutex<usize>,
    loses: Loses,
    /// Files whose content is not on the disk yet.
    unsynced: Mutex<Vec<PathBuf>>,
    /// Renames that are not on the disk yet, with what stood at the target before.
    renamed: Mutex<Vec<Rename>>,
}

impl FailingDisk {
    fn new(left: Option<usize>, loses: Loses) -> Arc<Self> {
        Arc::new(Self {
            left: Mutex::new(left),
            steps: Mutex::new(0),
            loses,
            unsynced: Mutex::default(),
            renamed: Mutex::default(),
        })
    }

    fn step(&self) -> io::Result<()> {
        *self.steps.lock().unwrap() += 1;
        let mut left = self.left.lock().unwrap();
        match left.as_mut() {
            None => return Ok(()),
            Some(0) => {}
            Some(left) => {
                *left -= 1;
                return Ok(());
            }
        }
        drop(left);
        self.fail();
        Err(io::Error::other("the power failed"))
    }

    /// Takes back what need not have survived.
    fn fail(&self) {
        let unsynced = std::mem::take(&mut *self.unsynced.lock().unwrap());
        let renamed = std::mem::take(&mut *self.renamed.lock().unwrap());
        match self.loses {
            Loses::Nothing => {}
            Loses::Contents => {
                for path in unsynced {
                    if let Ok(content) = fs::read(&path) {
                        fs::write(&path, &content[..content.len() / 2]).unwrap();
                    }
                }
            }
            Loses::Names => {
                for (from, to, before) in renamed.into_iter().rev() {
                    fs::rename(&to, &from).unwrap();
                    if let Some(content) = before {
                        fs::write(&to, content).unwrap();
                    }
                }
            }
        }
    }
}

impl Disk for FailingDisk {
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.create_dir(path)
    }

    fn write(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        if self.step().is_err() {
            // The power fails in the middle of it.
            let _ = fs::write(path, &content[..content.len() / 2]);
            return Err(io::Error::other("the power failed"));
        }
        self.unsynced.lock().unwrap().push(path.to_owned());
        RealDisk.write(path, content)
    }

    fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.unsynced.lock().unwrap().retain(|other| other != path);
        // What survives is decided by `fail`, not by the machine the test runs on.
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.renamed
            .lock()
            .unwrap()
            .retain(|(_, to, _)| to.parent() != Some(path));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let entry = (from.to_owned(), to.to_owned(), fs::read(to).ok());
        self.renamed.lock().unwrap().push(entry);
        RealDisk.rename(from, to)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        RealDisk.remove_dir(path)
    }
}

fn never_failing(dir: &Path) -> PackageStore {
    PackageStore::with_disk(dir.to_owned(), FailingDisk::new(None, Loses::Nothing)).unwrap()
}

/// Runs `change` with the power failing at each of its steps in turn, and checks what is there afterwards.
fn at_every_step(
    prepare: impl Fn(&Path),
    change: impl Fn(&PackageStore) -> Result<(), StoreError>,
    allowed: &[Option<&str>],
) -> usize {
    let mut points = 0;
    for loses in [Loses::Nothing, Loses::Contents, Loses::Names] {
        for left in 0.. {
            let dir = tempfile::tempdir().unwrap();
            prepare(dir.path());
            let disk = FailingDisk::new(Some(left), loses);
            let done =
                PackageStore::with_disk(dir.path().to_owned(), disk.clone()).and_then(|store| change(&store));
            // The machine is on again.
            let store = never_failing(dir.path());
            let digest = match store.load(&id()) {
                Ok(package) => Some(package.digest().to_owned()),
                Err(StoreError::NotInstalled { .. }) => None,
                Err(error) => panic!("step {left}, losing {loses:?}: {error}"),
            };
            assert!(
                allowed.contains(&digest.as_deref()),
                "step {left}, losing {loses:?}: {digest:?}"
            );
            // And it works.
            let next = package("9.0.0");
            install(&store, &next).unwrap();
            assert_eq!(store.load(&id()).unwrap().digest(), next.digest());
            let spent = *disk.steps.lock().unwrap();
            if spent <= left {
                done.unwrap();
                assert_eq!(digest.as_deref(), *allowed.last().unwrap());
                break;
            }
            points += 1;
        }
    }
    points
}

#[test]
fn a_power_cut_at_any_step_leaves_the_old_version_or_the_new_one() {
    let (one, two) = (package("1.0.0"), package("1.1.0"));
    let with_two = |dir: &Path| {
        let store = never_failing(dir);
        install(&store, &package("0.9.0")).unwrap();
        install(&store, &one).unwrap();
    };
    let new = |store: &PackageStore| install(store, &two).map(drop);
    let points = at_every_step(|_| {}, new, &[None, Some(two.digest())]);
    let more = at_every_step(with_two, new, &[Some(one.digest()), Some(two.digest())]);
    assert!(points >= 60 && more >= 60, "{points} {more}");
    at_every_step(
        with_two,
        |store| store.uninstall(&id()).map(drop),
        &[Some(one.digest()), None],
    );
    let older = package("0.9.0");
    at_every_step(
        with_two,
        |store| store.rollback(&id()).map(drop),
        &[Some(one.digest()), Some(older.digest())],
    );
}
