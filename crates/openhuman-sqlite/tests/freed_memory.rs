//! After a database is closed, nothing of its content is in the memory of the process, when the allocators wipe what is
//! freed. A program of its own, because allocators are the program's.
#![cfg(target_os = "linux")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use openhuman_sqlite::{Options, open, vacuum_into, wipe_freed_memory};
use openhuman_vault::{Key, WipingAllocator};

/// Wipes when the process under test says so. The control does not.
struct Switched;

static WIPING: AtomicBool = AtomicBool::new(false);

#[global_allocator]
static ALLOCATOR: Switched = Switched;

// SAFETY: both allocators below take and give blocks of the system's, so a block may come from one and go to the other.
unsafe impl GlobalAlloc for Switched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the same contract.
        unsafe {
            if WIPING.load(Ordering::Relaxed) {
                WipingAllocator.dealloc(memory, layout);
            } else {
                System.dealloc(memory, layout);
            }
        }
    }
}

const HOME: &str = "OPENHUMAN_TEST_FREED";
const WIPE: &str = "OPENHUMAN_TEST_WIPE";
/// "canaryinmemory" with every bit inverted, so that the search does not find what it looks for in itself.
const INVERTED: [u8; 14] = [
    0x9c, 0x9e, 0x91, 0x9e, 0x8d, 0x86, 0x96, 0x91, 0x92, 0x9a, 0x92, 0x90, 0x8d, 0x86,
];

fn canary() -> String {
    INVERTED.iter().map(|byte| char::from(!byte)).collect()
}

/// How often the content is in writable memory.
fn hits() -> usize {
    let finder = memchr::memmem::Finder::new(&INVERTED);
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
    let mut hits = 0;
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (Some(range), Some(mode)) = (fields.next(), fields.next()) else {
            continue;
        };
        if !mode.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
        let mut buffer = vec![0; (to - from) as usize];
        memory.seek(SeekFrom::Start(from)).unwrap();
        if memory.read_exact(&mut buffer).is_ok() {
            // The copy is inverted at once: what it shows of earlier copies is not content.
            buffer.iter_mut().for_each(|byte| *byte = !*byte);
            hits += finder.find_iter(&buffer).count();
        }
    }
    hits
}

/// All paths on which content goes through memory: cache, log, temporary files, sorting, full-text search, copies.
fn work(home: &Path) {
    let key = Key::from_bytes([3; 32]);
    let connection = open(&home.join("test.db"), &key, &Options::default()).unwrap();
    connection
        .execute_batch(
            "PRAGMA cache_size = 20; CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);
             CREATE VIRTUAL TABLE f USING fts5(x)",
        )
        .unwrap();
    for id in 0..400 {
        let text = format!("{} {id} {}", canary(), canary().repeat(id % 40));
        connection
            .execute("INSERT INTO t VALUES (?1, ?2)", (id as i64, &text))
            .unwrap();
        connection.execute("INSERT INTO f VALUES (?1)", [&text]).unwrap();
    }
    let mut statement = connection.prepare("SELECT x FROM t ORDER BY x DESC").unwrap();
    let sorted: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(sorted.len(), 400);
    drop(statement);
    let found: u32 = connection
        .query_row("SELECT count(*) FROM f WHERE f MATCH ?1", [canary()], |row| {
            row.get(0)
        })
        .unwrap();
    assert_eq!(found, 400);
    connection
        .execute_batch("CREATE INDEX i ON t (x); CREATE TEMP TABLE copy AS SELECT * FROM t; VACUUM")
        .unwrap();
    vacuum_into(&connection, &home.join("copy.db"), &key).unwrap();
    assert!(hits() > 0, "while it is open, the content is in memory");
    drop(sorted);
    connection.close().unwrap();
    // What a crash left is read by our own code, too.
    let connection = open(&home.join("test.db"), &key, &Options::default()).unwrap();
    connection.execute("UPDATE t SET x = x || 'y'", []).unwrap();
    for name in ["test.db", "test.db-wal"] {
        std::fs::copy(home.join(name), home.join(name.replace("test", "crashed"))).unwrap();
    }
    drop(connection);
    drop(open(&home.join("crashed.db"), &key, &Options::default()).unwrap());
    openhuman_sqlite::rekey(
        &home.join("copy.db"),
        &key,
        &Key::from_bytes([4; 32]),
        &Options::default(),
    )
    .unwrap();
}

#[test]
fn nothing_of_a_closed_database_is_left_in_memory_when_freed_memory_is_wiped() {
    const TEST: &str = "nothing_of_a_closed_database_is_left_in_memory_when_freed_memory_is_wiped";
    if let Some(home) = std::env::var_os(HOME) {
        if std::env::var_os(WIPE).is_some() {
            WIPING.store(true, Ordering::Relaxed);
            wipe_freed_memory().unwrap();
            wipe_freed_memory().expect("once is enough, twice is no error");
        }
        // The stack of the thread that worked ends with it.
        std::thread::spawn(move || work(Path::new(&home))).join().unwrap();
        println!("\nhits: {}", hits());
        return;
    }
    let run = |wipe: bool| -> usize {
        let home = tempfile::tempdir().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([TEST, "--exact", "--nocapture", "--test-threads=1"])
            .env(HOME, home.path());
        if wipe {
            command.env(WIPE, "1");
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let hits = text.lines().find_map(|line| line.strip_prefix("hits: "));
        hits.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)))
            .parse()
            .unwrap()
    };
    let (control, wiped) = (run(false), run(true));
    println!("{control} places without wiping, {wiped} with it");
    assert!(control > 0, "the search finds what is left behind");
    assert_eq!(wiped, 0);
}

/// Without the wiping allocator in front SQLite must not be switched once it is in use.
#[test]
fn the_allocator_cannot_be_changed_under_a_running_sqlite() {
    const TEST: &str = "the_allocator_cannot_be_changed_under_a_running_sqlite";
    if let Some(home) = std::env::var_os(HOME) {
        let key = Key::from_bytes([3; 32]);
        let connection = open(&Path::new(&home).join("a.db"), &key, &Options::default()).unwrap();
        let error = wipe_freed_memory().unwrap_err();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        println!("refused: {error}");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args([TEST, "--exact", "--nocapture"])
        .env(HOME, home.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("refused: SQLite is in use already"), "{text}");
}
