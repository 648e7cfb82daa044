//! The same search as `flat_100k_ms` in sqlite-vec: 100,000 vectors of 1536 numbers in a `vec0` table in memory, the
//! ten nearest by cosine, one thread, processor time, the least of five queries. Prints one JSON object.

use std::time::Duration;

use rusqlite::{Connection, ffi};

const DIMENSIONS: usize = 1536;
const ROWS: i64 = 100_000;

struct Numbers(u64);

impl Numbers {
    fn vector(&mut self) -> Vec<u8> {
        (0..DIMENSIONS)
            .flat_map(|_| {
                self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                ((self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0).to_le_bytes()
            })
            .collect()
    }
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    type Entry = unsafe extern "C" fn(*mut ffi::sqlite3, *mut *mut std::ffi::c_char, *const ffi::sqlite3_api_routines) -> i32;
    // SAFETY: `sqlite3_vec_init` is an extension's entry point, of exactly this type; the crate declares it without its
    // parameters. Registered before the first connection, as SQLite asks.
    unsafe {
        let entry: Entry = std::mem::transmute(sqlite_vec::sqlite3_vec_init as *const ());
        ffi::sqlite3_auto_extension(Some(entry));
    }
    let mut connection = Connection::open_in_memory()?;
    let version: String = connection.query_row("SELECT vec_version()", [], |row| row.get(0))?;
    connection.execute_batch(&format!(
        "CREATE VIRTUAL TABLE v USING vec0 (embedding float[{DIMENSIONS}] distance_metric=cosine)"
    ))?;
    let mut numbers = Numbers(7);
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT INTO v (rowid, embedding) VALUES (?1, ?2)")?;
        for row in 0..ROWS {
            insert.execute((row, numbers.vector()))?;
        }
    }
    transaction.commit()?;
    let mut search = connection.prepare("SELECT rowid, distance FROM v WHERE embedding MATCH ?1 ORDER BY distance LIMIT 10")?;
    let mut best = Duration::MAX;
    for _ in 0..5 {
        let target = numbers.vector();
        let started = processor_time();
        let found = search.query_map([target], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()?;
        best = best.min(processor_time() - started);
        assert_eq!(found.len(), 10);
    }
    println!(
        "{{\"sqlite_vec_100k_ms\":{:.2},\"sqlite_vec_version\":\"{version}\"}}",
        best.as_secs_f64() * 1e3
    );
    Ok(())
}
