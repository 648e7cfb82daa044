use super::*;
use crate::vault::header_file::{HEADER_FILE, copy_of};
use crate::vault::password::RUNS;
use crate::vault::{MemoryKeyStore, VaultOptions};
use tempfile::TempDir;

const SECOND: i64 = 1_000;

fn password(text: &str) -> Password {
    Password::from(text.to_owned())
}

fn fast() -> VaultOptions {
    VaultOptions::fast_for_tests()
}

fn created() -> (TempDir, Vault) {
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::create(dir.path(), &password("pass"), &fast()).unwrap();
    (dir, vault)
}

fn open(dir: &TempDir, text: &str, now_ms: i64) -> Result<Vault, VaultError> {
    Vault::open_at(dir.path(), &password(text), now_ms)
}

fn wait(result: Result<Vault, VaultError>) -> u64 {
    match result {
        Err(VaultError::TooManyAttempts { wait_ms }) => wait_ms,
        other => panic!("{other:?}"),
    }
}

fn is_wrong(result: &Result<Vault, VaultError>) -> bool {
    matches!(result, Err(VaultError::WrongPassword))
}

#[test]
fn wrong_passwords_make_the_next_attempt_wait_even_after_a_restart() {
    let (dir, _vault) = created();
    let mut now = 1_000_000;
    for _ in 0..4 {
        assert!(is_wrong(&open(&dir, "guess", now)));
    }
    // Nothing is kept in the process: each call reads the file.
    let runs = RUNS.get();
    assert_eq!(
        wait(open(&dir, "pass", now)),
        1_000,
        "the right password waits, too"
    );
    assert_eq!(wait(open(&dir, "guess", now + 400)), 600);
    assert_eq!(Vault::waiting_ms(dir.path(), now + 400), 600);
    assert_eq!(Vault::waiting_ms(dir.path(), now + 1_000), 0);
    assert_eq!(Vault::waiting_ms(&dir.path().join("nowhere"), now), 0);
    assert_eq!(RUNS.get(), runs, "a refused attempt costs no Argon2id");
    for delay in [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300] {
        now += delay * SECOND;
        assert_eq!(wait(open(&dir, "guess", now - 1)), 1);
        assert!(is_wrong(&open(&dir, "guess", now)), "after {delay} s");
    }
    now += 300 * SECOND;
    open(&dir, "pass", now).unwrap();
    assert!(is_wrong(&open(&dir, "guess", now)), "the count begins again");
    open(&dir, "pass", now).unwrap();
}

#[test]
fn only_wrong_passwords_are_counted() {
    let (dir, _vault) = created();
    let header = dir.path().join(HEADER_FILE);
    let good = std::fs::read(&header).unwrap();
    let mut bad = good.clone();
    bad[8 + 3 + 16 + 3] ^= 1;
    for content in [&bad, &b"rubbish".to_vec()] {
        std::fs::write(&header, content).unwrap();
        std::fs::write(copy_of(&header), content).unwrap();
        for _ in 0..6 {
            let error = open(&dir, "pass", 0).unwrap_err();
            assert!(
                matches!(error, VaultError::HeaderTampered | VaultError::Damaged { .. }),
                "{error}"
            );
        }
    }
    std::fs::write(&header, &good).unwrap();
    for _ in 0..6 {
        assert!(matches!(open(&dir, "", 0), Err(VaultError::EmptyPassword)));
    }
    open(&dir, "pass", 0).unwrap();
}

#[test]
fn guesses_do_not_run_side_by_side() {
    let (dir, _vault) = created();
    let outcomes: Vec<bool> = std::thread::scope(|scope| {
        let guess = || is_wrong(&open(&dir, "guess", 5_000));
        let threads: Vec<_> = (0..12).map(|_| scope.spawn(guess)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let made = outcomes.iter().filter(|made| **made).count();
    assert_eq!(made, 4, "all others were told to wait");
}

#[test]
fn a_damaged_or_missing_count_locks_nobody_out() {
    let (dir, _vault) = created();
    let attempts = dir.path().join("attempts.ohv");
    for _ in 0..4 {
        let _ = open(&dir, "guess", 0);
    }
    wait(open(&dir, "pass", 0));
    let counted = std::fs::read(&attempts).unwrap();
    std::fs::write(&attempts, &counted[..20]).unwrap();
    open(&dir, "pass", 0).unwrap();
    std::fs::write(&attempts, &counted).unwrap();
    wait(open(&dir, "pass", 0));
    std::fs::remove_file(&attempts).unwrap();
    std::fs::create_dir(&attempts).unwrap();
    open(&dir, "pass", 0).unwrap();
}

#[test]
fn a_directory_without_a_vault_stays_empty() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(open(&dir, "pass", 0), Err(VaultError::NotFound { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_recovery_key_opens_the_vault_and_ends_with_the_next_one() {
    let (dir, mut vault) = created();
    let open = |key: &RecoveryKey| Vault::open_with_recovery_key(dir.path(), key);
    let stray = RecoveryKey::generate().unwrap();
    assert!(!vault.has_recovery_key());
    assert!(matches!(open(&stray), Err(VaultError::NoRecoveryKey)));
    let first = vault.create_recovery_key().unwrap();
    assert!(vault.has_recovery_key());
    assert!(matches!(open(&stray), Err(VaultError::WrongRecoveryKey)));
    let runs = RUNS.get();
    let written_down = first.text().to_string();
    let opened = open(&RecoveryKey::parse(&written_down).unwrap()).unwrap();
    assert_eq!(opened.subkey("x").expose(), vault.subkey("x").expose());
    assert_eq!(RUNS.get(), runs, "it needs no Argon2id");
    let second = vault.create_recovery_key().unwrap();
    assert!(matches!(open(&first), Err(VaultError::WrongRecoveryKey)));
    open(&second).unwrap();
    assert!(vault.remove_recovery_key().unwrap());
    assert!(!vault.remove_recovery_key().unwrap());
    assert!(matches!(open(&second), Err(VaultError::NoRecoveryKey)));
}

#[test]
fn a_lost_password_is_replaced_with_the_recovery_key_at_once() {
    let (dir, mut vault) = created();
    let store = MemoryKeyStore::new();
    vault.remember_in(&store).unwrap();
    vault.set_secret("token", b"value").unwrap();
    let recovery = vault.create_recovery_key().unwrap();
    drop(vault);
    for _ in 0..6 {
        let _ = open(&dir, "forgotten", 0);
    }
    wait(open(&dir, "pass", 0));
    let mut vault = Vault::open_with_recovery_key(dir.path(), &recovery).unwrap();
    vault.change_password(&password("new"), &fast()).unwrap();
    drop(vault);
    // Whoever holds the recovery key need not wait for the guesses of before.
    let vault = open(&dir, "new", 0).unwrap();
    assert_eq!(vault.secret("token").unwrap().unwrap().as_slice(), b"value");
    assert!(vault.has_recovery_key() && vault.is_remembered());
    assert!(is_wrong(&open(&dir, "pass", 0)));
    Vault::open_with_recovery_key(dir.path(), &recovery).unwrap();
    Vault::open_from_key_store(dir.path(), &store).unwrap();
}

#[test]
fn a_damaged_header_opens_with_the_recovery_key_as_well() {
    let (dir, mut vault) = created();
    let recovery = vault.create_recovery_key().unwrap();
    let header = dir.path().join(HEADER_FILE);
    let good = std::fs::read(&header).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(&header, &bad).unwrap();
        let opened = Vault::open_with_recovery_key(dir.path(), &recovery)
            .unwrap_or_else(|error| panic!("byte {at}: {error}"));
        assert_eq!(opened.subkey("x").expose(), vault.subkey("x").expose());
        assert_eq!(std::fs::read(&header).unwrap(), good, "byte {at}");
    }
}

fn weaken(vault: &mut Vault) -> Argon2Params {
    let weak = fast().argon2.unwrap();
    let id = vault.header.id;
    let slot = Slot::password(&id, &password("pass"), weak, &vault.key).unwrap();
    vault
        .update(|header| {
            replace_password(header, slot);
            // As a program of an earlier time wrote it: with what was enough then, and nothing chosen.
            header.least = None;
            Ok(())
        })
        .unwrap();
    weak
}

#[test]
fn weak_parameters_of_an_older_vault_are_raised_when_it_is_opened() {
    let (dir, mut vault) = created();
    let store = MemoryKeyStore::new();
    vault.remember_in(&store).unwrap();
    let weak = weaken(&mut vault);
    assert!(is_wrong(&open(&dir, "guess", 0)));
    let still = Vault::open_from_key_store(dir.path(), &store).unwrap();
    assert_eq!(
        still.password_params(),
        Some(weak),
        "only the password itself can raise it"
    );
    let raised = open(&dir, "pass", 0).unwrap();
    assert_eq!(raised.password_params(), Some(Argon2Params::DEFAULT));
    assert_eq!(raised.subkey("x").expose(), vault.subkey("x").expose());
    let runs = RUNS.get();
    let again = open(&dir, "pass", 0).unwrap();
    assert_eq!(RUNS.get(), runs + 1, "once is enough");
    assert_eq!(again.password_params(), Some(Argon2Params::DEFAULT));
    assert!(again.is_remembered());
}

#[test]
fn parameters_that_were_chosen_are_left_alone() {
    let (dir, mut vault) = created();
    let chosen = fast().argon2;
    assert_eq!(open(&dir, "pass", 0).unwrap().password_params(), chosen);
    vault
        .change_password(&password("pass"), &VaultOptions::default())
        .unwrap();
    let measured = open(&dir, "pass", 0).unwrap().password_params().unwrap();
    assert!(!measured.is_weaker_than(Argon2Params::DEFAULT));
    vault.change_password(&password("pass"), &fast()).unwrap();
    assert_eq!(open(&dir, "pass", 0).unwrap().password_params(), chosen);
}

#[test]
fn a_header_that_cannot_be_written_is_opened_with_its_old_parameters() {
    let (dir, mut vault) = created();
    let weak = weaken(&mut vault);
    let in_the_way = dir.path().join("vault.ohv.tmp");
    std::fs::create_dir(&in_the_way).unwrap();
    let opened = open(&dir, "pass", 0).unwrap();
    assert_eq!(opened.password_params(), Some(weak));
    std::fs::remove_dir(in_the_way).unwrap();
    assert_eq!(
        open(&dir, "pass", 0).unwrap().password_params(),
        Some(Argon2Params::DEFAULT)
    );
}
