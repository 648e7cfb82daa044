//! The author's kit: tests of a skill, run as an author runs them.

use openhuman_skills::kit::template::{self, Template};
use openhuman_skills::kit::{FileReport, Outcome, TestFile, check, is_test, run_tests};
use openhuman_skills::{SkillId, SkillPackage};

const MANIFEST: &str = r#"{"id":"clocks","name":"Clocks","permissions":{"net":[{"host":"api.example.com","secret":"key"}],"events":["ping"]}}"#;

const SKILL: &str = r"
globalThis.__skill = { default: {
  start() { state.set('started', new Date().toISOString()); cron.register('hourly', '0 0 * * * *'); },
  onCronTrigger(id) { state.set('cron', (state.get('cron') ?? 0) + 1); console.log('cron', id); },
  onServerEvent(name, data) { setTimeout(() => state.set('event', { name, data, at: Date.now() }), 60000); },
  tools: [
    { name: 'wait', description: 'w', execute: (args) => new Promise((done) => setTimeout(() => done(`waited ${args.ms}`), args.ms)) },
    { name: 'nap', description: 'n', execute(args) { const a = Date.now(); sleep(args.ms); return { slept: Date.now() - a }; } },
    { name: 'busy', description: 'b', execute(args) { const end = Date.now() + args.ms; while (Date.now() < end); return 'done'; } },
    { name: 'boom', description: 'b', execute() {
        const page = undefined;
        return page.id;
    } },
    { name: 'chance', description: 'c', execute: () => ({ n: Math.random(), id: crypto.randomUUID() }) },
    { name: 'tick', description: 't', execute() { let n = 0; globalThis.timer = setInterval(() => { state.set('ticks', ++n); }, 60_000); return 'ok'; } },
    { name: 'forever', description: 'f', execute: () => new Promise(() => {}) },
  ],
} };";

async fn run(tests: &str) -> FileReport {
    let package = SkillPackage::from_parts(MANIFEST, SKILL.to_owned()).unwrap();
    let file = TestFile {
        path: "clocks.test.js".to_owned(),
        text: tests.to_owned(),
    };
    run_tests(&package, &file, None).await.unwrap()
}

/// Runs a file whose tests must all pass.
async fn passes(tests: &str) {
    let report = run(tests).await;
    assert!(report.error.is_none(), "{:?}", report.error);
    assert!(!report.tests.is_empty());
    for test in &report.tests {
        assert_eq!(
            test.outcome,
            Outcome::Passed,
            "{}: {:#?}",
            test.name,
            test.failure
        );
    }
}

/// Runs a file with one test, which must fail, and returns how that is shown.
async fn fails(tests: &str) -> String {
    let report = run(tests).await;
    let failure = report.tests.first().and_then(|test| test.failure.clone());
    failure.expect("the test fails").trace.to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn time_stands_still_until_a_test_moves_it() {
    passes(
        r"
test('the clock starts at a known moment', () => {
  sim.start();
  expect(sim.state.started).toBe('2026-01-01T09:00:00.000Z');
  expect(sim.clock.iso).toBe('2026-01-01T09:00:00.000Z');
});
test('a call that waits takes the time along', () => {
  expect(sim.call('wait', { ms: 3_600_000 })).toBe('waited 3600000');
  expect(sim.clock.iso).toBe('2026-01-01T10:00:00.000Z');
});
test('sleep and waiting in a loop take simulated time', () => {
  expect(sim.call('nap', { ms: 90_000 })).toEqual({ slept: 90000 });
  expect(sim.call('busy', { ms: 15_000 })).toBe('done');
});
test('schedules and timers fire on the way', () => {
  sim.call('tick');
  sim.clock.advance('2h 30m');
  expect(sim.state.cron).toBe(2);
  expect(sim.state.ticks).toBe(150);
  expect(sim.schedules).toEqual({ hourly: '0 0 * * * *' });
  expect(sim.logs.filter((line) => line.message === 'cron hourly').length).toBe(2);
});
test('an event is handled at once, its timer later', () => {
  sim.event('ping', { n: 1 });
  expect(sim.state.event).toBe(undefined);
  sim.clock.advance('59s');
  expect(sim.state.event).toBe(undefined);
  sim.clock.advance('1s');
  expect(sim.state.event.data).toEqual({ n: 1 });
});
test('chance is the same in every run', () => {
  expect(sim.call('chance')).toEqual({ n: 0.08538983040489256, id: '8e5b2204-e60e-4c26-8345-dbe68645fab2' });
});
",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_name_the_place_in_the_test_and_in_the_skill() {
    let shown = fails(
        "test('a', () => {\n  const got = sim.call('wait', { ms: 5 });\n  expect(got).toBe('nothing');\n});",
    )
    .await;
    assert!(
        shown.contains("expected \"waited 5\" to be \"nothing\"") && shown.contains("clocks.test.js:3:"),
        "{shown}"
    );
    assert!(shown.contains("3 |   expect(got).toBe('nothing');"), "{shown}");
    let shown = fails("test('a', () => {\n  sim.call('boom');\n});").await;
    assert!(
        shown.contains("return page.id;")
            && shown.contains("(index.js:12:")
            && shown.contains("clocks.test.js:2:"),
        "{shown}"
    );
    let shown = fails("test('a', () => sim.event('other'))").await;
    assert!(shown.contains("permissions.events"), "{shown}");
    let shown = fails("test('a', () => sim.call('forever'))").await;
    assert!(shown.contains("never settles"), "{shown}");
    let report = run("test('a', () => {});\nconst = 1;").await;
    let error = report.error.unwrap().to_string();
    assert!(error.contains("clocks.test.js:2:"), "{error}");
}

fn made_from(template: Template) -> SkillPackage {
    let id = SkillId::new("my-skill").unwrap();
    let files = template::files(&id, template).into_iter();
    SkillPackage::from_files(files.map(|(path, text)| (path, text.into_bytes()))).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_skill_passes_its_checks_and_its_tests() {
    for template in [Template::Minimal, Template::Sync, Template::Module] {
        let package = made_from(template);
        let report = check(&package).await.unwrap();
        assert!(report.findings.is_empty(), "{template:?}: {:#?}", report.findings);
        assert!(!report.tools.is_empty());
        let mut passed = 0;
        for (path, bytes) in package.files().filter(|(path, _)| is_test(path)) {
            let file = TestFile {
                path: path.to_owned(),
                text: String::from_utf8(bytes.to_vec()).unwrap(),
            };
            let report = run_tests(&package, &file, None).await.unwrap();
            assert!(report.error.is_none(), "{template:?}: {:?}", report.error);
            for test in report.tests {
                assert_eq!(
                    test.outcome,
                    Outcome::Passed,
                    "{template:?} {}: {:#?}",
                    test.name,
                    test.failure
                );
                passed += 1;
            }
        }
        assert!(passed > 0);
    }
}

async fn findings(manifest: &str, code: &str) -> Vec<String> {
    let package = SkillPackage::from_parts(manifest, code.to_owned()).unwrap();
    let report = check(&package).await.unwrap();
    let shown = report.findings.iter().map(|finding| {
        let (help, place) = (
            finding.help.as_deref().unwrap_or_default(),
            finding.place.as_ref(),
        );
        let place = place.map(|place| format!(" {place}")).unwrap_or_default();
        format!(
            "{:?} {} {} {help}{place}",
            finding.level, finding.code, finding.message
        )
    });
    shown.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_names_what_is_wrong() {
    let plain = r#"{"id":"a","name":"A","permissions":{}}"#;
    let wide = r#"{"id":"a","name":"A","permissions":{"net":[{"host":"api.example.com","secret":"key"}],"notify":true,"events":["x"]}}"#;
    let skill = |body: &str| format!("globalThis.__skill = {{ default: {{ {body} }} }};");
    for (manifest, code, wanted) in [
        (plain, "const = 1;".to_owned(), "Error start the script failed"),
        (plain, "\n\nnoSuchThing();".to_owned(), "index.js:3:1"),
        (
            plain,
            skill("start() { throw new Error('no') }"),
            "start() failed: no",
        ),
        (plain, skill("tools: {}"), "Error tools `tools` is object"),
        (
            plain,
            skill("tools: [{ name: 'a b', description: 'x', execute() {} }]"),
            "Error tool-name",
        ),
        (
            plain,
            skill("tools: [{ name: 'a', description: 'x' }]"),
            "Error tool-execute",
        ),
        (
            plain,
            skill("tools: [{ name: 'a', execute() {} }]"),
            "Warning tool-description",
        ),
        (
            plain,
            skill(
                "tools: [{ name: 'a', description: 'x', inputSchema: { type: 'object', required: ['q'] }, execute() {} }]",
            ),
            "`required` names 'q'",
        ),
        (
            plain,
            skill("tools: [], onCrontrigger() {}"),
            "did you mean `onCronTrigger`?",
        ),
        (
            plain,
            skill("tools: [], onServerEvent() {}"),
            "asks for no events",
        ),
        (
            plain,
            skill("tools: [], go() { net.fetch('https://api.example.com/x') }"),
            "the host api.example.com",
        ),
        (
            plain,
            skill("tools: [], go() { return '{{secret:key}}' }"),
            "uses {{secret:key}}",
        ),
        (
            plain,
            skill("tools: [], go() { platform.notify('x') }"),
            "needs `permissions.notify`",
        ),
        (
            wide,
            skill("tools: []"),
            "asks for the host api.example.com, which the script never names",
        ),
        (wide, skill("tools: []"), "never uses the secret 'key'"),
        (wide, skill("tools: []"), "has no `onServerEvent`"),
        (
            wide,
            skill("tools: []"),
            "asks for `permissions.notify`, which the script never needs",
        ),
        (
            r#"{"id":"a","name":"A","permisions":{}}"#,
            skill("tools: []"),
            "manifest.json:1:",
        ),
    ] {
        let found = findings(manifest, &code).await;
        assert!(
            found.iter().any(|finding| finding.contains(wanted)),
            "'{wanted}' is not in {found:#?}"
        );
    }
}
