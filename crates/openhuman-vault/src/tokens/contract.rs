//! What every [`TokenStore`] must do, for the tests of an implementation.

use super::{MAX_OUTSTANDING, MAX_SKEW_MS, Redemption, TokenRecord, TokenStore, TokenStoreError};

const CHALLENGE: [u8; 32] = [0xc4; 32];

/// Runs the contract against an empty store.
///
/// # Panics
/// With the rule that was broken.
pub fn check<S: TokenStore>(store: &S) {
    let test = Test(store);
    test.redeeming();
    test.challenges();
    test.racing();
    test.purging();
    test.limits();
    test.clock();
}

struct Test<'s, S>(&'s S);

impl<S: TokenStore> Test<'_, S> {
    fn insert(&self, record: &TokenRecord) {
        self.0.insert(record).expect("insert works");
    }

    fn redeem(&self, n: u8, audience: &str, now_ms: i64) -> Option<TokenRecord> {
        self.redeem_with(n, audience, None, now_ms)
    }

    fn redeem_with(
        &self,
        n: u8,
        audience: &str,
        challenge: Option<[u8; 32]>,
        now_ms: i64,
    ) -> Option<TokenRecord> {
        let redemption = Redemption {
            hash: [n; 32],
            audience,
            challenge,
            now_ms,
        };
        self.0.redeem(&redemption).expect("redeem works")
    }

    fn redeeming(&self) {
        self.insert(&record(1));
        let refused = |n, audience, now, rule| assert_eq!(self.redeem(n, audience, now), None, "{rule}");
        refused(9, "desktop", 1_500, "an unknown token is refused");
        refused(1, "other", 1_500, "another audience is refused");
        refused(1, "desktop", 2_001, "an expired token is refused");
        assert_eq!(
            self.redeem(1, "desktop", 2_000),
            Some(record(1)),
            "the last millisecond is good"
        );
        refused(1, "desktop", 2_000, "a used token is refused");
    }

    fn challenges(&self) {
        let bound = TokenRecord {
            challenge: Some(CHALLENGE),
            ..record(4)
        };
        self.insert(&bound);
        for wrong in [None, Some([0; 32])] {
            assert_eq!(
                self.redeem_with(4, "desktop", wrong, 1_500),
                None,
                "a token for another device is refused"
            );
        }
        assert_eq!(
            self.redeem_with(4, "desktop", Some(CHALLENGE), 1_500),
            Some(bound),
            "and is still good for its own"
        );
        self.insert(&record(5));
        assert_eq!(
            self.redeem_with(5, "desktop", Some(CHALLENGE), 1_500),
            None,
            "a token without a challenge does not pass for one with it"
        );
        assert!(self.redeem(5, "desktop", 1_500).is_some());
    }

    fn racing(&self)
    where
        S: Sync,
    {
        for round in 0..20 {
            self.insert(&record(2));
            let wins: usize = std::thread::scope(|scope| {
                let race = || usize::from(self.redeem(2, "desktop", 1_500).is_some());
                let threads: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
                threads
                    .into_iter()
                    .map(|thread| thread.join().expect("no panic"))
                    .sum()
            });
            assert_eq!(
                wins, 1,
                "of many callers at once, exactly one wins (round {round})"
            );
            self.0.purge(2_001).expect("purge works");
        }
    }

    fn purging(&self) {
        self.insert(&record(3));
        assert_eq!(
            self.0.purge(2_000).expect("purge works"),
            0,
            "a good token is kept"
        );
        assert!(
            self.0.purge(2_001).expect("purge works") >= 1,
            "an expired token is forgotten"
        );
        assert_eq!(
            self.redeem(3, "desktop", 1_500),
            None,
            "a forgotten token is refused"
        );
    }

    fn limits(&self) {
        (0..MAX_OUTSTANDING as u8).for_each(|n| self.insert(&record(10 + n)));
        let refused = self.0.insert(&record(99));
        assert!(
            matches!(refused, Err(TokenStoreError::TooManyOutstanding { .. })),
            "a subject has at most {MAX_OUTSTANDING} unused tokens"
        );
        let other = TokenRecord {
            subject: "bob".to_owned(),
            ..record(100)
        };
        self.insert(&other);
        assert!(
            self.redeem(100, "desktop", 1_500).is_some(),
            "the limit is per subject"
        );
        self.0.purge(2_001).expect("purge works");
    }

    fn clock(&self) {
        let observe = |now_ms| self.0.observe(now_ms).expect("observe works");
        let (start, far) = (1_000_000, 9_000_000);
        assert_eq!(observe(start), start, "time goes on");
        assert_eq!(observe(far), far, "time goes on");
        assert_eq!(
            observe(far - MAX_SKEW_MS),
            far,
            "a server that is a little behind goes by the latest time"
        );
        let kept = TokenRecord {
            issued_ms: far,
            expires_ms: far + 300_000,
            ..record(6)
        };
        self.insert(&kept);
        assert_eq!(
            observe(far - MAX_SKEW_MS - 1),
            far - MAX_SKEW_MS - 1,
            "after a clock was set back, time begins anew"
        );
        assert_eq!(
            self.redeem(6, "desktop", far - MAX_SKEW_MS - 1),
            None,
            "and no earlier token is good"
        );
    }
}

fn record(n: u8) -> TokenRecord {
    TokenRecord {
        hash: [n; 32],
        subject: "alice".to_owned(),
        audience: "desktop".to_owned(),
        challenge: None,
        issued_ms: 1_000,
        expires_ms: 2_000,
    }
}
