use std::sync::Barrier;

use super::super::{LoginTokens, contract};
use super::*;
use crate::Key;

#[test]
fn both_kinds_of_store_keep_the_contract() {
    contract::check(&SqliteTokenStore::in_memory().unwrap());
    let folder = tempfile::tempdir().unwrap();
    contract::check(&SqliteTokenStore::open(folder.path().join("tokens.db")).unwrap());
}

/// Sixteen threads, each with a connection of its own as sixteen processes would have, race for every
/// token.
#[test]
fn sixteen_connections_and_each_token_has_exactly_one_winner() {
    const THREADS: usize = 16;
    const TOKENS: usize = 50;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let key = Key::from_bytes([3; 32]);
    let issuer = LoginTokens::new(SqliteTokenStore::open(&path).unwrap(), &key);
    let tokens: Vec<_> = (0..TOKENS)
        .map(|n| issuer.issue(&format!("user {n}"), "desktop", 0).unwrap())
        .collect();
    let start = Barrier::new(THREADS);
    let wins: Vec<Vec<usize>> = std::thread::scope(|scope| {
        let race = || {
            let racer = LoginTokens::new(SqliteTokenStore::open(&path).unwrap(), &key);
            start.wait();
            let won = |token: &super::super::LoginToken| {
                usize::from(racer.redeem(token.expose(), "desktop", 1).is_ok())
            };
            tokens.iter().map(won).collect()
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(race)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for token in 0..TOKENS {
        let winners: usize = wins.iter().map(|won| won[token]).sum();
        assert_eq!(winners, 1, "token {token}");
    }
}

#[test]
fn a_used_token_stays_used_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let key = Key::from_bytes([3; 32]);
    let first = LoginTokens::new(SqliteTokenStore::open(&path).unwrap(), &key);
    let used = first.issue("ada", "desktop", 0).unwrap();
    let unused = first.issue("ada", "desktop", 0).unwrap();
    first.redeem(used.expose(), "desktop", 1).unwrap();
    drop(first);
    let second = LoginTokens::new(SqliteTokenStore::open(&path).unwrap(), &key);
    assert!(second.redeem(used.expose(), "desktop", 2).is_err());
    assert_eq!(second.redeem(unused.expose(), "desktop", 2).unwrap(), "ada");
    let file = std::fs::read(&path).unwrap();
    for token in [&used, &unused] {
        let secret = &token.expose().as_bytes()[5..];
        assert!(!file.windows(secret.len()).any(|window| window == secret));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    std::fs::write(
        &path,
        "these are not the tables you are looking for, and long enough",
    )
    .unwrap();
    let error = SqliteTokenStore::open(&path).unwrap_err().to_string();
    assert!(
        error.contains("notes.txt") && error.contains("check that it is a token store"),
        "{error}"
    );
    let missing = SqliteTokenStore::open(folder.path().join("no/such/folder.db")).unwrap_err();
    assert!(
        missing.to_string().contains("check that its folder exists"),
        "{missing}"
    );
}

#[test]
fn the_latest_time_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let key = Key::from_bytes([3; 32]);
    let open = || LoginTokens::new(SqliteTokenStore::open(&path).unwrap(), &key);
    let token = open().issue("ada", "desktop", 0).unwrap();
    let later = open().issue("bob", "desktop", 301_000).unwrap();
    // The clock goes back while the server is down.
    assert!(open().redeem(token.expose(), "desktop", 1_000).is_err());
    assert!(open().redeem(later.expose(), "desktop", 1_000).is_err());
    let fresh = open().issue("ada", "desktop", 1_000).unwrap();
    assert_eq!(open().redeem(fresh.expose(), "desktop", 1_000).unwrap(), "ada");
}

#[test]
fn a_file_without_challenges_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens.db");
    let old = Connection::open(&path).unwrap();
    old.execute_batch(
        "CREATE TABLE login_tokens (
            hash BLOB NOT NULL PRIMARY KEY, subject TEXT NOT NULL, audience TEXT NOT NULL,
            issued_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, consumed_ms INTEGER
         ) STRICT, WITHOUT ROWID;
         INSERT INTO login_tokens VALUES (zeroblob(32), 'ada', 'desktop', 0, 300000, NULL);",
    )
    .unwrap();
    drop(old);
    let redemption = Redemption {
        hash: [0; 32],
        audience: "desktop",
        challenge: None,
        now_ms: 1,
    };
    for expected in [Some("ada".to_owned()), None] {
        let store = SqliteTokenStore::open(&path).unwrap();
        let redeemed = store.redeem(&redemption).unwrap();
        assert_eq!(redeemed.map(|record| record.subject), expected);
    }
}
