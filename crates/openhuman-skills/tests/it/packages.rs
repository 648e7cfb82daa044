//! Packages from a registry to the store, over loopback.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path as Route, State};
use axum::http::{HeaderMap, Response, StatusCode, header};
use axum::routing::get;
use openhuman_skills::registry::{
    Decision, FetchError, HttpFetch, Listing, Offer, PackageStore, Refusal, Registry, RegistryError, Source,
    StoreError, Tampering,
};
use openhuman_skills::{
    Grant, Manifest, ManualClock, PackageError, SigningKey, SkillError, SkillId, SkillPackage,
};
use serde_json::{Value, json};

/// What the server answers for a path.
#[derive(Clone)]
enum Answer {
    Content(Vec<u8>),
    Redirect(String),
    Status(u16),
    /// Ends in the middle of what it announced.
    Truncated,
    /// Never ends.
    Endless,
}

#[derive(Default)]
struct Server {
    answers: Mutex<std::collections::HashMap<String, Answer>>,
    requests: AtomicUsize,
    confirmed: AtomicUsize,
}

impl Server {
    async fn start() -> (Arc<Self>, String) {
        let server = Arc::new(Self::default());
        let router = Router::new()
            .route("/{*path}", get(serve))
            .with_state(Arc::clone(&server));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (server, base)
    }

    fn set(&self, path: &str, answer: Answer) {
        self.answers.lock().unwrap().insert(path.to_owned(), answer);
    }

    fn content(&self, path: &str, content: impl Into<Vec<u8>>) {
        self.set(path, Answer::Content(content.into()));
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

async fn serve(
    State(server): State<Arc<Server>>,
    Route(path): Route<String>,
    headers: HeaderMap,
) -> Response<Body> {
    server.requests.fetch_add(1, Ordering::SeqCst);
    let answer = server.answers.lock().unwrap().get(&path).cloned();
    let response = Response::builder();
    match answer.unwrap_or(Answer::Status(404)) {
        Answer::Content(content) => {
            let tag = format!(
                "\"{}-{}\"",
                content.len(),
                content.iter().map(|byte| u64::from(*byte)).sum::<u64>()
            );
            if headers
                .get(header::IF_NONE_MATCH)
                .is_some_and(|known| known == tag.as_str())
            {
                server.confirmed.fetch_add(1, Ordering::SeqCst);
                return response
                    .status(StatusCode::NOT_MODIFIED)
                    .body(Body::empty())
                    .unwrap();
            }
            response
                .header(header::ETAG, tag)
                .body(Body::from(content))
                .unwrap()
        }
        Answer::Redirect(target) => response
            .status(StatusCode::FOUND)
            .header(header::LOCATION, target)
            .body(Body::empty())
            .unwrap(),
        Answer::Status(status) => response.status(status).body(Body::from("no")).unwrap(),
        Answer::Truncated => {
            let chunks = [Ok(Bytes::from_static(b"{\"version\":1,")), Err("the line is cut")];
            response
                .body(Body::from_stream(futures_util::stream::iter(chunks)))
                .unwrap()
        }
        Answer::Endless => {
            let chunk = Bytes::from(vec![b' '; 1 << 20]);
            let chunks = futures_util::stream::repeat_with(move || Ok::<_, std::io::Error>(chunk.clone()));
            response.body(Body::from_stream(chunks)).unwrap()
        }
    }
}

fn index(entries: &[Value]) -> String {
    json!({"version": 1, "generated_at": "2026-01-01T00:00:00Z", "skills": {"core": entries, "third_party": []}})
        .to_string()
}

fn entry(id: &str, version: &str, download: &str) -> Value {
    json!({"id": id, "name": id, "version": version, "download_url": download,
           "manifest_url": format!("{id}/manifest.json")})
}

struct Setup {
    server: Arc<Server>,
    base: String,
    clock: Arc<ManualClock>,
    dir: tempfile::TempDir,
}

impl Setup {
    async fn new() -> Self {
        let (server, base) = Server::start().await;
        Self {
            server,
            base,
            clock: Arc::new(ManualClock::new(1_800_000_000_000)),
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn registry(&self) -> Registry {
        self.registry_at("index.json")
    }

    fn registry_at(&self, path: &str) -> Registry {
        let source = Source::parse(Some(&format!("{}/{path}", self.base))).unwrap();
        let cache = self.dir.path().join("skills/.registry-cache.json");
        let fetch = Arc::new(HttpFetch::new().unwrap());
        Registry::new(source, Some(cache), fetch, self.clock.clone())
    }

    fn store(&self) -> PackageStore {
        PackageStore::open(self.dir.path().join("skills/.packages")).unwrap()
    }
}

fn ids(listing: &Listing) -> Vec<&str> {
    listing
        .index
        .entries
        .iter()
        .map(|entry| entry.id.as_str())
        .collect()
}

fn package(id: &str, version: &str) -> SkillPackage {
    let manifest = json!({"id": id, "name": id, "version": version}).to_string();
    SkillPackage::from_files([
        ("manifest.json", manifest.into_bytes()),
        ("index.js", format!("// {version}").into_bytes()),
        ("lib/words.json", b"[]".to_vec()),
    ])
    .unwrap()
}

#[tokio::test]
async fn an_index_is_fetched_once_an_hour_and_confirmed_by_its_tag() {
    let setup = Setup::new().await;
    setup
        .server
        .content("index.json", index(&[entry("one", "1.0.0", "x")]));
    let registry = setup.registry();
    let listing = registry.index(false).await.unwrap();
    assert_eq!((ids(&listing), listing.notice.clone()), (vec!["one"], None));
    registry.index(false).await.unwrap();
    assert_eq!(setup.server.requests(), 1);
    let kept = fs::read_to_string(setup.dir.path().join("skills/.registry-cache.json")).unwrap();
    let kept: Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["fetched_at"], "2027-01-15T08:00:00Z");
    assert_eq!(kept["registry"]["version"], 1);

    // An hour later the server says that it is still the same; that counts as fetched.
    setup.clock.advance(Duration::from_secs(3600));
    registry.index(false).await.unwrap();
    registry.index(false).await.unwrap();
    let confirmed = setup.server.confirmed.load(Ordering::SeqCst);
    assert_eq!((setup.server.requests(), confirmed), (2, 1));

    // Changed, and asked for at once.
    setup
        .server
        .content("index.json", index(&[entry("two", "1.0.0", "x")]));
    assert_eq!(ids(&registry.index(false).await.unwrap()), ["one"]);
    assert_eq!(ids(&registry.index(true).await.unwrap()), ["two"]);
    // Another registry does not use this one's file.
    setup.server.content("other.json", index(&[]));
    assert!(ids(&setup.registry_at("other.json").index(false).await.unwrap()).is_empty());
}

#[tokio::test]
async fn a_registry_that_fails_leaves_the_last_good_index() {
    let setup = Setup::new().await;
    let registry = setup.registry();
    let failures = [
        Answer::Status(500),
        Answer::Truncated,
        Answer::Endless,
        Answer::Content(b"<html>not found</html>".to_vec()),
        Answer::Content(b"{\"version\":1}".to_vec()),
        Answer::Redirect("http://example.invalid/".to_owned()),
        Answer::Redirect("/loop.json".to_owned()),
        Answer::Redirect("file:///etc/passwd".to_owned()),
    ];
    setup
        .server
        .set("loop.json", Answer::Redirect("/loop.json".to_owned()));
    for failure in &failures {
        setup.server.set("index.json", failure.clone());
        registry.index(false).await.unwrap_err();
    }
    setup
        .server
        .content("index.json", index(&[entry("one", "1.0.0", "x")]));
    registry.index(false).await.unwrap();
    setup.clock.advance(Duration::from_secs(7200));
    for failure in failures {
        setup.server.set("index.json", failure);
        let listing = registry.index(false).await.unwrap();
        assert_eq!(ids(&listing), ["one"]);
        let notice = listing.notice.unwrap();
        assert!(notice.contains("the index of 2027-01-15T08:00:00Z"), "{notice}");
    }
    // A redirect that stays on this machine is followed.
    setup
        .server
        .content("moved.json", index(&[entry("moved", "1.0.0", "x")]));
    setup
        .server
        .set("index.json", Answer::Redirect("moved.json".to_owned()));
    assert_eq!(ids(&registry.index(false).await.unwrap()), ["moved"]);
    // A file that was damaged counts as none.
    fs::write(setup.dir.path().join("skills/.registry-cache.json"), "{").unwrap();
    assert_eq!(ids(&registry.index(false).await.unwrap()), ["moved"]);
}

#[tokio::test]
async fn a_registry_in_a_file_is_read_each_time_and_names_files_beside_it() {
    let setup = Setup::new().await;
    let place = setup.dir.path().join("registry.json");
    let write = |download: &str| fs::write(&place, index(&[entry("one", "1.0.0", download)])).unwrap();
    fs::write(
        setup.dir.path().join("one.tgz"),
        package("one", "1.0.0").to_archive().unwrap(),
    )
    .unwrap();
    let url = url::Url::from_file_path(&place).unwrap();
    for source in [place.to_str().unwrap(), url.as_str()] {
        let source = Source::parse(Some(source)).unwrap();
        let registry = Registry::new(
            source,
            None,
            Arc::new(HttpFetch::new().unwrap()),
            setup.clock.clone(),
        );
        write("one.tgz");
        let listing = registry.index(false).await.unwrap();
        let (found, _) = registry.download(&listing.index.entries[0]).await.unwrap();
        assert_eq!(found.digest(), package("one", "1.0.0").digest());
        for outside in ["../one.tgz", "a/../../one.tgz", "C:one.tgz"] {
            write(outside);
            let listing = registry.index(false).await.unwrap();
            let error = registry.download(&listing.index.entries[0]).await.unwrap_err();
            assert!(
                matches!(error, RegistryError::Address { .. } | RegistryError::Fetch(_)),
                "{error}"
            );
        }
    }
    assert!(Source::parse(Some("http://example.com/index.json")).is_err());
    assert!(Source::parse(Some("registry.json")).is_err());
    assert!(matches!(Source::parse(None).unwrap(), Source::Url(url) if url.scheme() == "https"));
}

#[tokio::test]
async fn a_download_is_a_manifest_with_a_script_or_an_archive() {
    let setup = Setup::new().await;
    let archive = package("packed", "1.0.0").signed(&SigningKey::from_seed(&[1; 32]));
    setup.server.content("packed.tgz", archive.to_archive().unwrap());
    setup.server.content("plain/index.js", "1");
    setup.server.content(
        "plain/manifest.json",
        r#"{"id":"plain","name":"Plain","version":"1.0.0"}"#,
    );
    setup.server.set("huge.js", Answer::Endless);
    let entries = vec![
        entry("packed", "1.0.0", "packed.tgz"),
        entry("plain", "1.0.0", "plain/index.js"),
        entry("huge", "1.0.0", "huge.js"),
        entry("local", "1.0.0", "file:///etc/passwd"),
    ];
    setup.server.content("index.json", index(&entries));
    let registry = setup.registry();
    let listing = registry.index(false).await.unwrap();
    let entries = &listing.index.entries;
    let (packed, _) = registry.download(&entries[0]).await.unwrap();
    assert_eq!(
        (packed.digest(), packed.signature()),
        (archive.digest(), archive.signature())
    );
    let (plain, _) = registry.download(&entries[1]).await.unwrap();
    assert_eq!(plain.file("index.js"), Some("1"));
    let huge = registry.download(&entries[2]).await.unwrap_err();
    assert!(
        matches!(huge, RegistryError::Fetch(FetchError::TooLarge { .. })),
        "{huge}"
    );
    let local = registry.download(&entries[3]).await.unwrap_err();
    assert!(
        matches!(local, RegistryError::Fetch(FetchError::Refused { .. })),
        "{local}"
    );
}

#[tokio::test]
async fn row_25_an_install_is_verified_atomic_and_keeps_the_old_version_on_failure() {
    let setup = Setup::new().await;
    let (registry, store) = (setup.registry(), setup.store());
    let notes = SkillId::new("notes").unwrap();
    let offer = |version: &str, package: &SkillPackage| {
        setup.server.content("notes.tgz", package.to_archive().unwrap());
        setup
            .server
            .content("index.json", index(&[entry("notes", version, "notes.tgz")]));
    };
    let fetch = async || {
        let listing = registry.index(true).await.unwrap();
        registry.download(&listing.index.entries[0]).await
    };

    // The first version: signed by a key nobody has seen, so the user is asked, and the key is pinned.
    let key = SigningKey::from_seed(&[5; 32]);
    let first = package("notes", "1.0.0").signed(&key);
    offer("1.0.0", &first);
    let (found, said) = fetch().await.unwrap();
    let plan = store.plan(found, &said).unwrap();
    assert_eq!(*plan.decision(), Decision::AskFirstUse { key: key.public() });
    assert!(matches!(
        store.install(plan.clone(), 0),
        Err(StoreError::NeedsConsent { .. })
    ));
    assert!(store.get(&notes).unwrap().is_none());
    store.install(plan.approve(), 0).unwrap();

    let stays = |what: &str| {
        let loaded = store.load(&notes).unwrap();
        assert_eq!(loaded.digest(), first.digest(), "{what}");
    };

    // A changed file under the old signature.
    let bad: Vec<_> = first
        .files()
        .map(|(path, content)| match path {
            "lib/words.json" => (path, b"[1]".to_vec()),
            _ => (path, content.to_vec()),
        })
        .chain([(
            "signature.json",
            first.signature().unwrap().to_json().into_bytes(),
        )])
        .collect();
    assert!(matches!(
        SkillPackage::from_files(bad),
        Err(PackageError::Signature(_))
    ));

    // Damaged downloads, a missing one, a server that fails.
    let archive = package("notes", "1.1.0").signed(&key).to_archive().unwrap();
    offer("1.1.0", &package("notes", "1.1.0").signed(&key));
    for answer in [
        Answer::Content(archive[..archive.len() - 9].to_vec()),
        Answer::Truncated,
        Answer::Status(500),
        Answer::Content(b"not a package".to_vec()),
    ] {
        setup.server.set("notes.tgz", answer);
        fetch().await.unwrap_err();
        stays("a failed download");
    }

    // No signature any more; another key; another skill; another version than announced; a wrong checksum.
    let other = SigningKey::from_seed(&[6; 32]);
    for (package, version, refused) in [
        (package("notes", "1.1.0"), "1.1.0", true),
        (package("notes", "1.1.0").signed(&other), "1.1.0", false),
        (package("memos", "1.1.0").signed(&key), "1.1.0", true),
        (package("notes", "1.1.0").signed(&key), "1.2.0", true),
    ] {
        offer(version, &package);
        let (found, said) = fetch().await.unwrap();
        let plan = store.plan(found, &said).unwrap();
        assert_eq!(
            matches!(plan.decision(), Decision::Refuse { .. }),
            refused,
            "{plan}"
        );
        assert!(plan.needs_consent());
        let plan = if refused { plan.approve() } else { plan };
        store.install(plan, 0).unwrap_err();
        stays("an offer that must not be installed");
    }
    let checksum = Offer {
        checksum_sha256: Some("0".repeat(64)),
        ..Offer::default()
    };
    let plan = store
        .plan(package("notes", "1.1.0").signed(&key), &checksum)
        .unwrap();
    assert!(matches!(
        plan.decision(),
        Decision::Refuse {
            reason: Refusal::Checksum { .. }
        }
    ));
    stays("a wrong checksum");

    // The real update needs no question: same key, no more permissions.
    let second = package("notes", "1.1.0").signed(&key);
    offer("1.1.0", &second);
    let (found, said) = fetch().await.unwrap();
    let plan = store.plan(found, &said).unwrap();
    assert!(!plan.needs_consent());
    let installed = store.install(plan, 1).unwrap();
    assert_eq!(store.load(&notes).unwrap().digest(), second.digest());
    assert_eq!(installed.files.len(), 3);

    // Every file is checked again when it is loaded, the manifest too.
    let home = version_dir(&setup.dir.path().join("skills/.packages/notes"), second.digest());
    for file in ["manifest.json", "index.js", "lib/words.json"] {
        let path = home.join(file);
        let content = fs::read(&path).unwrap();
        fs::write(&path, [&content[..], b" "].concat()).unwrap();
        let error = store.load(&notes).unwrap_err();
        assert!(
            matches!(&error, StoreError::Tampered { file: named, what: Tampering::Changed, .. } if named == file),
            "{error}"
        );
        fs::write(&path, content).unwrap();
    }
    store.load(&notes).unwrap();

    // The public registry is not signed: pinned by its hash, and asked.
    let plain = package("plain", "1.0.0");
    let plan = store.plan(plain.clone(), &Offer::default()).unwrap();
    assert!(matches!(
        plan.decision(),
        Decision::AskUnsigned { previous: None, .. }
    ));
    store.install(plan.approve(), 0).unwrap();
    assert!(!store.plan(plain, &Offer::default()).unwrap().needs_consent());
    let changed = store.plan(package("plain", "1.0.1"), &Offer::default()).unwrap();
    assert!(matches!(
        changed.decision(),
        Decision::AskUnsigned {
            previous: Some(_),
            ..
        }
    ));
}

fn version_dir(home: &Path, digest: &str) -> std::path::PathBuf {
    let mut dirs = fs::read_dir(home).unwrap().map(|entry| entry.unwrap());
    let found = dirs.find(|entry| entry.file_name().to_string_lossy().starts_with(&digest[..16]));
    found.unwrap().path()
}

#[test]
fn row_02_paths_of_manifests_and_packages_stay_inside_their_root() {
    let bad = [
        "..",
        "../x.js",
        "a/../../x.js",
        "/etc/passwd",
        "//server/share/x.js",
        "\\\\server\\share\\x.js",
        "C:\\x.js",
        "C:/x.js",
        "C:x.js",
        "a\\..\\x.js",
        "\\\\?\\C:\\x.js",
        "nul",
        "con.js",
        "a/aux.txt",
        "com1",
        "x.js.",
        "x.js ",
        "x.js::$DATA",
        "a\0.js",
        "./x.js",
        "a//x.js",
        "",
    ];
    for path in bad {
        let manifest = json!({"id": "a", "name": "A", "entry": path}).to_string();
        let error = Manifest::parse(&manifest).unwrap_err().to_string();
        assert!(error.contains("`entry`"), "{path:?}: {error}");
        let files = [
            ("manifest.json", br#"{"id":"a","name":"A"}"#.to_vec()),
            ("index.js", vec![]),
            (path, vec![]),
        ];
        assert!(SkillPackage::from_files(files).is_err(), "{path:?}");
        assert!(SkillId::new(path).is_err(), "{path:?}");
        let from_registry = index(&[entry(path, "1", "https://example.com/x")]);
        let index = openhuman_skills::registry::Index::parse(from_registry.as_bytes()).unwrap();
        assert!(index.entries.is_empty() && index.problems.len() == 1, "{path:?}");
        let lockfile = json!({"version": 1, "revision": 1, "skills": {"a": {"current": {
            "digest": "0".repeat(64), "trust": {"kind": "hash"}, "installed_at_ms": 0, "directory": path, "files": {}}}}});
        assert!(
            openhuman_skills::registry::Lockfile::parse(&lockfile.to_string()).is_err(),
            "{path:?}"
        );
    }
}

#[cfg(unix)]
#[test]
fn row_02_symbolic_links_do_not_lead_out_of_a_package() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.txt"), "secret").unwrap();
    for (link, target) in [
        ("index.js", outside.path().join("secret.txt")),
        ("more", outside.path().to_owned()),
        ("up", "..".into()),
        ("device", "/dev/zero".into()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("manifest.json"), r#"{"id":"a","name":"A"}"#).unwrap();
        if link != "index.js" {
            fs::write(dir.path().join("index.js"), "1").unwrap();
        }
        symlink(&target, dir.path().join(link)).unwrap();
        let error = SkillPackage::load(dir.path()).unwrap_err();
        assert!(matches!(error, PackageError::Escapes { .. }), "{link}: {error}");
    }
}

/// A skill of some version whose tool `run` says which one it is.
fn speaking(version: &str, init: &str) -> SkillPackage {
    let manifest = json!({"id": "speaker", "name": "Speaker", "version": version}).to_string();
    let code = format!(
        "globalThis.__skill = {{ default: {{ init() {{ {init} }}, tools: [{{ name: 'run', description: 'd', \
         execute() {{ state.set('calls', (state.get('calls') || 0) + 1); return '{version} ' + state.get('calls'); }} }}] }} }};"
    );
    SkillPackage::from_parts(&manifest, code).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_replaces_a_running_skill_and_a_failed_one_leaves_the_old_version_running() {
    let setup = Setup::new().await;
    let store = setup.store();
    let engine = crate::support::engine();
    let install = |package: &SkillPackage| {
        let plan = store.plan(package.clone(), &Offer::default()).unwrap();
        store.stage(plan.approve()).unwrap()
    };
    let first = speaking("1.0.0", "");
    install(&first).commit(0).unwrap();
    let id = engine.install(first.clone(), Grant::none()).await.unwrap();
    engine.start(&id).await.unwrap();
    let say = async || crate::support::call(&engine, &id, json!({})).await.unwrap();
    assert_eq!(say().await, "1.0.0 1");

    for (version, init) in [
        ("1.1.0", "throw new Error('not today')"),
        ("1.1.1", "this is no JavaScript"),
    ] {
        let staged = install(&speaking(version, init));
        let error = engine
            .replace(staged.package().clone(), Grant::none())
            .await
            .unwrap_err();
        drop(staged);
        assert!(matches!(error, SkillError::Update { old: None, .. }), "{error}");
        assert!(
            error.to_string().contains("the old version runs again"),
            "{error}"
        );
        assert!(say().await.starts_with("1.0.0 "));
        assert_eq!(store.load(&id).unwrap().digest(), first.digest());
    }

    let second = speaking("1.2.0", "");
    let staged = install(&second);
    engine
        .replace(staged.package().clone(), Grant::none())
        .await
        .unwrap();
    staged.commit(1).unwrap();
    // The state of the old version is there.
    assert_eq!(say().await, "1.2.0 4");
    assert_eq!(store.load(&id).unwrap().digest(), second.digest());

    // A skill that does not run is replaced as it is.
    engine.stop(&id).await.unwrap();
    engine.replace(first, Grant::none()).await.unwrap();
    engine.start(&id).await.unwrap();
    assert_eq!(say().await, "1.0.0 5");
    let stranger = engine.replace(package("stranger", "1.0.0"), Grant::none()).await;
    assert!(matches!(stranger, Err(SkillError::Unknown { .. })));
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_stops_and_updates_at_once_leave_one_skill_that_answers() {
    let engine = crate::support::engine();
    let id = engine
        .install(speaking("0.0.0", ""), Grant::none())
        .await
        .unwrap();
    engine.start(&id).await.unwrap();
    let mut tasks = Vec::new();
    for round in 0..24 {
        let (engine, id) = (engine.clone(), id.clone());
        tasks.push(tokio::spawn(async move {
            match round % 4 {
                0 => drop(engine.stop(&id).await),
                1 => drop(engine.start(&id).await),
                2 => drop(engine.replace(speaking("1.0.0", "throw 1"), Grant::none()).await),
                _ => drop(engine.replace(speaking("2.0.0", ""), Grant::none()).await),
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    match engine.start(&id).await {
        Ok(()) | Err(SkillError::AlreadyRunning { .. }) => {}
        // A version that throws was installed while the skill did not run.
        Err(_) => {
            engine
                .replace(speaking("3.0.0", ""), Grant::none())
                .await
                .unwrap();
            engine.start(&id).await.unwrap();
        }
    }
    crate::support::call(&engine, &id, json!({})).await.unwrap();
    engine.shutdown().await;
}
