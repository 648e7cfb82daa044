//! The skill that must not notice anything: it works all the time, and every answer is checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use openhuman_skills::{CallOptions, Engine, Grant, SkillId, SkillPackage};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

const SKILL: &str = "
    let steps = 0, ticks = 0;
    globalThis.__skill = { default: {
        init() {
            db.exec('CREATE TABLE log (n INTEGER, text TEXT)');
            state.set('steps', 0);
            setInterval(() => { ticks++; }, 10);
        },
        tools: [{ name: 'step', execute({ n }) {
            if (state.get('steps') !== steps) throw new Error(`state says ${state.get('steps')} at step ${steps}`);
            state.set('steps', ++steps);
            db.exec('INSERT INTO log VALUES (?, ?)', [n, 'step ' + n]);
            const row = db.get('SELECT count(*) AS rows, max(n) AS last, (SELECT text FROM log ORDER BY n DESC LIMIT 1) AS text FROM log');
            if (row.last !== n || row.text !== 'step ' + n) throw new Error('the table holds ' + JSON.stringify(row));
            db.exec('DELETE FROM log WHERE n < ?', [n - 20]);
            const strange = Object.keys(globalThis).concat(Object.keys(Object.prototype));
            for (const name of ['polluted', 'leak', 'registry', 'turns']) if (strange.includes(name)) throw new Error(name + ' leaked in');
            return { n, steps, rows: row.rows, ticks, json: JSON.stringify({ a: [1, 'x'] }) };
        } }],
    } };
";

/// The longest a call may take while others misbehave. Far above what it takes, far below a hang.
pub(crate) const LONGEST: Duration = Duration::from_secs(3);

/// A working neighbour.
pub(crate) struct Neighbour {
    over: Arc<AtomicBool>,
    work: JoinHandle<Result<Record, String>>,
}

/// What the neighbour lived through.
pub(crate) struct Record {
    /// How long each call took, sorted.
    times: Vec<Duration>,
}

impl Neighbour {
    pub(crate) async fn start(engine: &Engine, name: &str) -> Self {
        let manifest = json!({"id": name, "name": name}).to_string();
        let package = SkillPackage::from_parts(&manifest, SKILL.to_owned()).unwrap();
        let id = engine.install(package, Grant::none()).await.unwrap();
        engine.start(&id).await.unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let work = tokio::spawn(work(engine.clone(), id, Arc::clone(&over)));
        Self { over, work }
    }

    /// Ends the work. An error says what went wrong in it.
    pub(crate) async fn finish(self) -> Result<Record, String> {
        self.over.store(true, Ordering::SeqCst);
        self.work.await.map_err(|error| error.to_string())?
    }
}

impl Record {
    pub(crate) fn longest(&self) -> Duration {
        self.times.last().copied().unwrap_or_default()
    }

    pub(crate) fn summary(&self) -> String {
        let at = |part: usize| {
            self.times
                .get(self.times.len() * part / 1000)
                .copied()
                .unwrap_or_default()
        };
        format!(
            "{} calls, p50 {:?}, p99 {:?}, longest {:?}",
            self.times.len(),
            at(500),
            at(990),
            self.longest()
        )
    }
}

async fn work(engine: Engine, id: SkillId, over: Arc<AtomicBool>) -> Result<Record, String> {
    let begin = Instant::now();
    let mut times = Vec::new();
    let mut n = 0_u64;
    let mut ticks = 0;
    while !over.load(Ordering::SeqCst) {
        n += 1;
        let started = Instant::now();
        let output = engine
            .call_tool(&id, "step", json!({ "n": n }), CallOptions { timeout: LONGEST })
            .await;
        let took = started.elapsed();
        times.push(took);
        let output = output.map_err(|error| format!("{id}, step {n}, after {took:?}: {error}"))?;
        let answer: Value = serde_json::from_str(&output.text).map_err(|error| error.to_string())?;
        let rows = n.min(22);
        ticks = answer["ticks"].as_u64().unwrap_or(0);
        let expected = json!({"n": n, "steps": n, "rows": rows, "ticks": ticks, "json": "{\"a\":[1,\"x\"]}"});
        if answer != expected {
            return Err(format!("{id} answered {answer}, not {expected}"));
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // A hundred ticks a second at best; a machine under full load may drop most, a stuck worker drops all.
    let wanted = begin.elapsed().as_millis() / 500;
    if u128::from(ticks) < wanted {
        return Err(format!("{id} got {ticks} ticks, at least {wanted} were wanted"));
    }
    times.sort_unstable();
    Ok(Record { times })
}
