use super::*;

fn tokens() -> LoginTokens<MemoryTokenStore> {
    LoginTokens::new(MemoryTokenStore::new(), &Key::from_bytes([5; 32]))
}

#[test]
fn the_memory_store_keeps_the_contract() {
    contract::check(&MemoryTokenStore::new());
}

#[test]
fn a_token_is_good_for_exactly_300_seconds() {
    for (later, good) in [(0, true), (299_999, true), (300_000, true), (300_001, false)] {
        let tokens = tokens();
        let token = tokens.issue("alice", "desktop", 1_000).unwrap();
        assert_eq!(
            tokens.redeem(token.expose(), "desktop", 1_000 + later).is_ok(),
            good,
            "after {later} ms"
        );
    }
}

#[test]
fn a_clock_set_back_does_not_revive_a_token() {
    let tokens = tokens();
    let token = tokens.issue("alice", "desktop", 0).unwrap();
    let unknown = format!("oht1_{}", "a".repeat(43));
    assert!(tokens.redeem(&unknown, "desktop", TTL_MS + 1).is_err());
    assert!(matches!(
        tokens.redeem(token.expose(), "desktop", 1),
        Err(TokenError::Invalid)
    ));
}

#[test]
fn a_token_from_the_future_is_refused() {
    let store = std::sync::Arc::new(MemoryTokenStore::new());
    let key = Key::from_bytes([5; 32]);
    for (ahead, good) in [(30_000, true), (30_001, false)] {
        let token = LoginTokens::new(store.clone(), &key)
            .issue("alice", "desktop", ahead)
            .unwrap();
        let other_server = LoginTokens::new(store.clone(), &key);
        assert_eq!(
            other_server.redeem(token.expose(), "desktop", 0).is_ok(),
            good,
            "{ahead} ms ahead"
        );
    }
}

#[test]
fn the_ninth_unused_token_is_refused_and_expiry_makes_room() {
    let tokens = tokens();
    for _ in 0..MAX_OUTSTANDING {
        tokens.issue("alice", "desktop", 0).unwrap();
    }
    assert!(matches!(
        tokens.issue("alice", "desktop", 0),
        Err(TokenError::Store(_))
    ));
    tokens.issue("bob", "desktop", 0).unwrap();
    tokens.issue("alice", "desktop", TTL_MS + 1).unwrap();
}

#[test]
fn tokens_have_the_documented_form_and_do_not_print() {
    let token = tokens().issue("alice", "desktop", 0).unwrap();
    assert!(is_well_formed(token.expose()), "{}", token.expose());
    assert_eq!(format!("{token:?}"), "LoginToken(..)");
    for bad in [
        "",
        "oht1_",
        "oht2_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "oht1_é",
    ] {
        assert!(!is_well_formed(bad), "{bad}");
    }
    let other_key = LoginTokens::new(MemoryTokenStore::new(), &Key::from_bytes([6; 32]));
    assert!(other_key.redeem(token.expose(), "desktop", 0).is_err());
}

#[test]
fn after_a_clock_was_set_back_new_tokens_still_expire() {
    let tokens = tokens();
    let far = 4_000_000_000_000;
    let lost = tokens.issue("alice", "desktop", far).unwrap();
    // Somebody corrects the clock. The token of the wrong time is void, and time does not stand still.
    let token = tokens.issue("alice", "desktop", 1_000).unwrap();
    assert!(tokens.redeem(lost.expose(), "desktop", 1_000).is_err());
    assert!(tokens.redeem(token.expose(), "desktop", 1_001 + TTL_MS).is_err());
    let token = tokens.issue("alice", "desktop", 2_000).unwrap();
    tokens.redeem(token.expose(), "desktop", 2_000).unwrap();
}

#[test]
fn a_stolen_link_is_of_no_use_without_the_verifier() {
    let tokens = tokens();
    let verifier = Verifier::generate().unwrap();
    let thief = Verifier::generate().unwrap();
    let token = tokens
        .issue_for("alice", "desktop", &verifier.challenge(), 0)
        .unwrap();
    let text = token.expose();
    for stolen in [
        tokens.redeem(text, "desktop", 1),
        tokens.redeem_with(text, "desktop", thief.expose(), 1),
        tokens.redeem_with(text, "desktop", "", 1),
        tokens.redeem_with(text, "other", verifier.expose(), 1),
    ] {
        assert!(matches!(stolen, Err(TokenError::Invalid)));
    }
    assert_eq!(
        tokens.redeem_with(text, "desktop", verifier.expose(), 2).unwrap(),
        "alice"
    );
}

/// Every reason gives the same words and the same kind, so that trying tells nothing.
#[test]
fn outside_every_refusal_looks_the_same() {
    let tokens = tokens();
    let verifier = Verifier::generate().unwrap();
    let used = tokens.issue("a", "desktop", 0).unwrap();
    tokens.redeem(used.expose(), "desktop", 0).unwrap();
    let bound = tokens
        .issue_for("b", "desktop", &verifier.challenge(), 0)
        .unwrap();
    let plain = tokens.issue("c", "desktop", 0).unwrap();
    let unknown = format!("oht1_{}", "a".repeat(43));
    let refusals = [
        tokens.redeem("nonsense", "desktop", 0),
        tokens.redeem(&unknown, "desktop", 0),
        tokens.redeem(used.expose(), "desktop", 0),
        tokens.redeem(bound.expose(), "desktop", 0),
        tokens.redeem(plain.expose(), "other", 0),
        tokens.redeem_with(plain.expose(), "desktop", verifier.expose(), 0),
        tokens.redeem(plain.expose(), "desktop", TTL_MS + 1),
    ];
    for refused in refusals {
        let error = refused.unwrap_err();
        assert_eq!(
            error.to_string(),
            "the login token is not valid; ask for a new one"
        );
        assert_eq!(format!("{error:?}"), "Invalid");
    }
}

/// The negative control of the contract: a store that looks first and takes later.
#[test]
fn the_contract_catches_a_store_that_is_not_atomic() {
    struct Racy(MemoryTokenStore);
    impl TokenStore for Racy {
        fn insert(&self, record: &TokenRecord) -> Result<(), TokenStoreError> {
            self.0.insert(record)
        }
        fn redeem(&self, redemption: &Redemption<'_>) -> Result<Option<TokenRecord>, TokenStoreError> {
            let found = self.0.redeem(redemption)?;
            if let Some(record) = &found {
                // Puts it back for as long as another thread needs to find it.
                self.0.insert(record)?;
                std::thread::sleep(std::time::Duration::from_millis(5));
                self.0.redeem(redemption)?;
            }
            Ok(found)
        }
        fn observe(&self, now_ms: i64) -> Result<i64, TokenStoreError> {
            self.0.observe(now_ms)
        }
        fn purge(&self, now_ms: i64) -> Result<usize, TokenStoreError> {
            self.0.purge(now_ms)
        }
    }
    let racy = Racy(MemoryTokenStore::new());
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| contract::check(&racy)));
    let panic = checked.unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("exactly one wins"), "{text}");
}

/// What a second server accepts whose clock is off by so much, in milliseconds, over the same store.
#[test]
fn the_clocks_of_two_servers_may_differ_by_thirty_seconds() {
    const ISSUED: i64 = 1_000_000_000;
    for (off, good) in [
        (-3_600_000, false),
        (-MAX_SKEW_MS - 1, false),
        (-MAX_SKEW_MS, true),
        (-1, true),
        (0, true),
        (TTL_MS - 1, true),
        (TTL_MS, true),
        (TTL_MS + 1, false),
        (3_600_000, false),
    ] {
        let store = std::sync::Arc::new(MemoryTokenStore::new());
        let key = Key::from_bytes([5; 32]);
        let token = LoginTokens::new(store.clone(), &key)
            .issue("alice", "desktop", ISSUED)
            .unwrap();
        let redeemed = LoginTokens::new(store, &key).redeem(token.expose(), "desktop", ISSUED + off);
        assert_eq!(redeemed.is_ok(), good, "{off} ms");
    }
}
