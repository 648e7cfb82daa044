//! Measures the vault and prints one JSON object; the README tells what came out once.
//!
//! Run it with `--release --features sqlite-tokens`; it needs about ten seconds and a quiet machine.

use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};

use openhuman_vault::seal::{NonceSource, Sealer};
use openhuman_vault::tokens::{LoginTokens, SqliteTokenStore};
use openhuman_vault::{Key, Password, Vault, VaultError, VaultOptions};

const PAGE: usize = 4096;
const TOKENS: usize = 400;

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let password = Password::from("correct horse battery staple".to_owned());
    let options = VaultOptions::calibrated();
    let vault = Vault::create(dir.path(), &password, &options)?;
    let params = vault.password_params().ok_or("the vault has no password")?;

    let unlock = median(5, || Vault::open(dir.path(), &password).map(drop))?;
    let mut vault = vault;
    let recovery = vault.create_recovery_key()?;
    let recovery_unlock = median(5, || {
        Vault::open_with_recovery_key(dir.path(), &recovery).map(drop)
    })?;
    // With measuring, as a user's change of the password does it.
    let change = median(3, || vault.change_password(&password, &VaultOptions::default()))?;

    let tokens = LoginTokens::new(
        SqliteTokenStore::open(dir.path().join("tokens.db"))?,
        &Key::generate()?,
    );
    let issued = (0..TOKENS)
        .map(|n| tokens.issue(&format!("user {n}"), "desktop", 0))
        .collect::<Result<Vec<_>, _>>()?;
    let started = Instant::now();
    for token in &issued {
        tokens.redeem(token.expose(), "desktop", 1)?;
    }
    let redeem_per_s = TOKENS as f64 / started.elapsed().as_secs_f64();

    println!(
        "{{\"unlock_ms\": {:.0}, \"argon2_mib\": {}, \"argon2_passes\": {}, \"recovery_unlock_ms\": {:.2}, \
         \"password_change_ms\": {:.0}, \"redeem_per_s\": {redeem_per_s:.0}, \"seal_4k_ns\": {:.0}}}",
        ms(unlock),
        params.memory_kib / 1024,
        params.passes,
        ms(recovery_unlock),
        ms(change),
        seal_ns()?,
    );
    Ok(())
}

/// The best of 40 rounds of 250 pages, nonces drawn as the database draws them.
fn seal_ns() -> Result<f64, Box<dyn Error>> {
    const ROUND: u32 = 250;
    let sealer = Sealer::new(&Key::generate()?);
    let mut nonces = NonceSource::new();
    let mut page = vec![7_u8; PAGE];
    let mut best = Duration::MAX;
    for _ in 0..40 {
        let started = Instant::now();
        for _ in 0..ROUND {
            black_box(sealer.seal_in_place(&nonces.next()?, b"page", &mut page));
        }
        best = best.min(started.elapsed() / ROUND);
    }
    Ok(best.as_nanos() as f64)
}

fn median(runs: usize, mut run: impl FnMut() -> Result<(), VaultError>) -> Result<Duration, Box<dyn Error>> {
    let mut times = Vec::with_capacity(runs);
    for _ in 0..runs {
        let started = Instant::now();
        run()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    times.get(runs / 2).copied().ok_or_else(|| "no runs".into())
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
