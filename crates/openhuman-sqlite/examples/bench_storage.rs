//! What sealing costs: the same work on a plain and on a sealed database, in turns, in processor time.
//!
//! Prints one JSON object. `NAME_ratio` is the median over pairs of sealed / plain; `_ours` and `_base` are the
//! medians of both sides. `BENCH_ROWS` changes the size (default 20000).

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use openhuman_sqlite::rusqlite::{Connection, params};
use openhuman_sqlite::{Anchor, AnchorError, Durability, Options, open};
use openhuman_vault::Key;
use rustix::time::{ClockId, clock_gettime};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const PAIRS: usize = 7;
const POINT_READS: u64 = 50_000;
const SEARCHES: usize = 60;

/// Processor time of this process so far.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let before = cpu();
    work()?;
    Ok((cpu() - before).as_secs_f64() * 1e3)
}

#[derive(Clone, Copy)]
enum Side {
    Base,
    Ours,
}

struct Bench {
    dir: PathBuf,
    rows: u64,
}

#[derive(Debug, Default)]
struct Memory(Mutex<Option<Vec<u8>>>);

impl Anchor for Memory {
    fn load(&self) -> std::result::Result<Option<Vec<u8>>, AnchorError> {
        Ok(self.0.lock().map_err(|_| "poisoned")?.clone())
    }

    fn store(&self, seal: &[u8]) -> std::result::Result<(), AnchorError> {
        *self.0.lock().map_err(|_| "poisoned")? = Some(seal.to_vec());
        Ok(())
    }
}

impl Bench {
    fn path(&self, side: Side) -> PathBuf {
        self.dir.join(match side {
            Side::Base => "plain.db",
            Side::Ours => "sealed.db",
        })
    }

    fn connect(&self, side: Side) -> Result<Connection> {
        let path = self.path(side);
        Ok(match side {
            Side::Base => {
                let connection = Connection::open(path)?;
                connection.pragma_update(None, "journal_mode", "WAL")?;
                connection.pragma_update(None, "synchronous", "NORMAL")?;
                connection
            }
            Side::Ours => open(&path, &key(), &options())?,
        })
    }

    fn insert(&self, side: Side) -> Result<f64> {
        let path = self.path(side);
        for suffix in ["", "-wal", "-shm", "-lock"] {
            let mut name = path.clone().into_os_string();
            name.push(suffix);
            let _ = std::fs::remove_file(name);
        }
        let mut connection = self.connect(side)?;
        connection.execute_batch(
            "CREATE TABLE document (id INTEGER PRIMARY KEY, body TEXT, vector BLOB);
             CREATE VIRTUAL TABLE search USING fts5(body, content=document, content_rowid=id)",
        )?;
        let mut random = 1;
        timed(|| {
            // As a memory is filled: some hundred documents per transaction.
            let mut id = 0;
            while id < self.rows {
                let transaction = connection.transaction()?;
                for _ in 0..500 {
                    id += 1;
                    let body = text(&mut random);
                    let vector = [(id % 251) as u8; 384];
                    transaction
                        .prepare_cached("INSERT INTO document VALUES (?1, ?2, ?3)")?
                        .execute(params![id as i64, body, vector])?;
                    transaction
                        .prepare_cached("INSERT INTO search (rowid, body) VALUES (?1, ?2)")?
                        .execute(params![id as i64, body])?;
                }
                transaction.commit()?;
            }
            connection.close().map_err(|(_, error)| error)?;
            Ok(())
        })
    }

    fn scan(&self, side: Side) -> Result<f64> {
        let connection = self.connect(side)?;
        let sql = "SELECT sum(length(body) + length(vector)), count(*) FROM document WHERE vector <> x'00'";
        timed(|| Ok(connection.query_row(sql, [], |_| Ok(()))?))
    }

    fn point_reads(&self, side: Side) -> Result<f64> {
        let connection = self.connect(side)?;
        let mut statement = connection.prepare("SELECT body FROM document WHERE id = ?1")?;
        let mut random = 7;
        timed(|| {
            for _ in 0..POINT_READS {
                let id = 1 + next(&mut random) % self.rows;
                statement.query_row([id as i64], |row| row.get_ref(0).map(|_| ()))?;
            }
            Ok(())
        })
    }

    fn search(&self, side: Side) -> Result<f64> {
        let connection = self.connect(side)?;
        let sql = "SELECT rowid FROM search WHERE search MATCH ?1 ORDER BY rank LIMIT 10";
        let mut statement = connection.prepare(sql)?;
        let mut all = |round: usize| -> Result<()> {
            for n in 0..SEARCHES {
                let query = format!("w{} OR w{}", (n * 37 + round) % 900, n * 11 % 900);
                let found = statement.query_map([query], |row| row.get::<_, i64>(0))?;
                assert!(found.count() > 0, "every word occurs");
            }
            Ok(())
        };
        all(0)?;
        timed(|| all(0))
    }

    fn vacuum(&self, side: Side) -> Result<f64> {
        let connection = self.connect(side)?;
        timed(|| Ok(connection.execute_batch("VACUUM")?))
    }

    /// Opening and the first row, by the clock.
    fn cold_open(&self, options: &Options) -> Result<f64> {
        let started = Instant::now();
        let connection = open(&self.path(Side::Ours), &key(), options)?;
        let id = self.rows as i64 / 2;
        connection.query_row("SELECT body FROM document WHERE id = ?1", [id], |_| Ok(()))?;
        Ok(started.elapsed().as_secs_f64() * 1e3)
    }
}

fn key() -> Key {
    Key::from_bytes([5; 32])
}

fn options() -> Options {
    Options {
        durability: Durability::ProcessCrash,
        ..Options::default()
    }
}

fn next(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    *state >> 33
}

/// About 250 bytes of words, the low numbers more often.
fn text(random: &mut u64) -> String {
    let mut text = String::with_capacity(270);
    while text.len() < 250 {
        let word = (next(random) % 1000) * (next(random) % 1000) / 1000;
        text.push_str(&format!("w{word} "));
    }
    text
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Runs both sides in turns, the first one alternating.
fn pairs(measure: impl Fn(Side) -> Result<f64>) -> Result<(f64, f64, f64)> {
    let (mut ours, mut base, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..PAIRS {
        let (a, b) = if pair % 2 == 0 {
            let b = measure(Side::Base)?;
            (measure(Side::Ours)?, b)
        } else {
            let a = measure(Side::Ours)?;
            (a, measure(Side::Base)?)
        };
        ours.push(a);
        base.push(b);
        ratios.push(a / b);
    }
    Ok((median(&ours), median(&base), median(&ratios)))
}

fn size(path: &Path) -> Result<f64> {
    Ok(std::fs::metadata(path)?.len() as f64)
}

fn main() -> Result<()> {
    let rows = std::env::var("BENCH_ROWS").map_or(Ok(20_000), |text| text.parse())?;
    let home = tempfile::tempdir()?;
    let bench = Bench {
        dir: home.path().to_owned(),
        rows,
    };
    let mut figures: Vec<(String, f64)> = Vec::new();
    let mut report = |name: &str, unit: &str, (ours, base, ratio): (f64, f64, f64)| {
        figures.push((format!("{name}_ratio"), ratio));
        figures.push((format!("{name}_{unit}_ours"), ours));
        figures.push((format!("{name}_{unit}_base"), base));
    };
    report("insert", "ms", pairs(|side| bench.insert(side))?);
    let (ours, base) = (size(&bench.path(Side::Ours))?, size(&bench.path(Side::Base))?);
    report("size", "bytes", (ours, base, ours / base));
    report("point_read", "ms", pairs(|side| bench.point_reads(side))?);
    let (scan_ours, scan_base, scan_ratio) = pairs(|side| bench.scan(side))?;
    report("scan", "ms", (scan_ours, scan_base, scan_ratio));
    report("fts_warm", "ms", pairs(|side| bench.search(side))?);
    report("vacuum", "ms", pairs(|side| bench.vacuum(side))?);
    // What a scan goes through, without the index: the text and the vectors.
    let connection = bench.connect(Side::Ours)?;
    let bytes: f64 = connection.query_row(
        "SELECT sum(length(body) + length(vector)) FROM document",
        [],
        |row| row.get(0),
    )?;
    drop(connection);
    figures.push(("scan_mb_s".into(), bytes / 1e6 / (scan_ours / 1e3)));
    figures.push(("scan_mb_s_base".into(), bytes / 1e6 / (scan_base / 1e3)));
    let opens = |options: &Options| {
        (0..21)
            .map(|_| bench.cold_open(options))
            .collect::<Result<Vec<f64>>>()
    };
    figures.push(("cold_open_ms".into(), median(&opens(&options())?)));
    let anchored = Options {
        anchor: Some(Arc::new(Memory::default())),
        ..options()
    };
    let session = open(&bench.path(Side::Ours), &key(), &anchored)?;
    session.execute_batch("CREATE TABLE sealed (x)")?;
    drop(session);
    figures.push(("anchored_open_ms".into(), median(&opens(&anchored)?)));
    let lines: Vec<String> = figures
        .iter()
        .map(|(name, value)| format!("\"{name}\":{value:.3}"))
        .collect();
    println!("{{{}}}", lines.join(","));
    Ok(())
}
