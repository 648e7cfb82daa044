//! Third stage: names become addresses, and every address is checked. What is connected is what was checked.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OnceCell, Semaphore};

use super::address::{is_public, is_usable};
use super::authorise::{Authorised, Route};
use super::error::NetError;
use super::request::Request;
use crate::{Destination, NameResolver};

/// How long an answer is used again.
const FRESH: Duration = Duration::from_secs(15);
/// Answers kept.
const MOST: usize = 1024;
/// Names looked up at the same time; a lookup may hold a thread of the runtime.
const LOOKUPS: usize = 64;
/// How long one lookup may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Addresses of one name that are used.
const MOST_ADDRESSES: usize = 16;

/// A request together with the checked addresses it goes to. Only made here.
#[derive(Debug)]
pub(crate) struct Resolved {
    request: Request,
    route: Route,
    to: Destination,
    addresses: Arc<[SocketAddr]>,
}

impl Resolved {
    pub(super) fn into_parts(self) -> (Request, Route, Destination, Arc<[SocketAddr]>) {
        (self.request, self.route, self.to, self.addresses)
    }
}

type Answer = Arc<OnceCell<Arc<[IpAddr]>>>;

/// Looks names up, each only once at a time, and remembers the answers for a short while.
pub(crate) struct Names {
    resolver: Arc<dyn NameResolver>,
    known: Mutex<HashMap<String, (Instant, Answer)>>,
    lookups: Semaphore,
}

impl Names {
    pub(crate) fn new(resolver: Arc<dyn NameResolver>) -> Self {
        Self {
            resolver,
            known: Mutex::default(),
            lookups: Semaphore::new(LOOKUPS),
        }
    }

    /// Finds and checks the addresses of an authorised request.
    pub(crate) async fn resolve(&self, authorised: Authorised) -> Result<Resolved, NetError> {
        let (request, route, to) = authorised.into_parts();
        let found: Arc<[IpAddr]> = match to.host().parse::<IpAddr>() {
            Ok(address) => Arc::new([address]),
            Err(_) => self.lookup(to.host()).await?,
        };
        let literal = to.host().parse::<IpAddr>().is_ok();
        // One unfit address among several is enough to refuse: rebinding mixes them.
        for &address in found.iter() {
            let fits = match route {
                Route::Public { .. } => is_public(address),
                // A granted name may point inside, but not at what no name should: metadata, multicast and the like.
                Route::Private => literal || is_usable(address),
            };
            if !fits {
                let host = to.host();
                return Err(NetError::refused(format!(
                    "{host} resolves to {address}, which is a private address; it needs an explicit grant of this \
                     host and port"
                )));
            }
        }
        let addresses = found.iter().map(|&address| SocketAddr::new(address, to.port()));
        Ok(Resolved {
            request,
            route,
            addresses: addresses.take(MOST_ADDRESSES).collect(),
            to,
        })
    }

    async fn lookup(&self, host: &str) -> Result<Arc<[IpAddr]>, NetError> {
        let answer = self.answer(host);
        let found = answer.get_or_try_init(|| async {
            let failed = |why: String| NetError::failed(format!("cannot resolve {host}: {why}"));
            let lookup = async {
                let _turn = self.lookups.acquire().await;
                self.resolver.resolve(host.to_owned()).await
            };
            let found = tokio::time::timeout(PATIENCE, lookup)
                .await
                .map_err(|_| failed(format!("no answer within {} s", PATIENCE.as_secs())))?
                .map_err(|error| failed(error.to_string()))?;
            if found.is_empty() {
                return Err(failed("it has no address".to_owned()));
            }
            Ok(found.into())
        });
        found.await.cloned()
    }

    /// The place of the answer for a name, shared by all who ask now.
    fn answer(&self, host: &str) -> Answer {
        let now = Instant::now();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, answer)) = known.get(host)
            && now.duration_since(*since) < FRESH
        {
            return Arc::clone(answer);
        }
        if known.len() >= MOST {
            known.retain(|_, (since, _)| now.duration_since(*since) < FRESH);
        }
        if known.len() >= MOST {
            known.clear();
        }
        let answer = Answer::default();
        known.insert(host.to_owned(), (now, Arc::clone(&answer)));
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::BoxFuture;
    use serde_json::Value;

    use super::*;
    use crate::Grant;
    use crate::net::authorise::authorise;

    /// Answers in turn with each of these.
    struct Answers(Vec<&'static [&'static str]>, AtomicUsize);

    impl NameResolver for Answers {
        fn resolve(&self, _: String) -> BoxFuture<'static, std::io::Result<Vec<IpAddr>>> {
            let turn = self.1.fetch_add(1, Ordering::SeqCst);
            let found = self.0[turn % self.0.len()]
                .iter()
                .map(|text| text.parse().unwrap())
                .collect();
            Box::pin(async move { Ok(found) })
        }
    }

    async fn resolve(answers: Vec<&'static [&'static str]>, url: &str) -> Result<Vec<String>, NetError> {
        let names = Names::new(Arc::new(Answers(answers, AtomicUsize::new(0))));
        let mut grant = Grant::none();
        grant
            .allow_host("*")
            .allow_private("nas.local", 443)
            .allow_private("169.254.169.254", 443);
        let request = Request::parse(url, &Value::Null)?;
        let resolved = names.resolve(authorise(request, &grant, &grant)?).await?;
        Ok(resolved.addresses.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn a_name_with_one_private_address_is_refused() {
        let error = resolve(vec![&["1.1.1.1", "127.0.0.1"]], "https://rebind.example.com/")
            .await
            .unwrap_err();
        let expected = "127.0.0.1, which is a private address; it needs an explicit grant";
        assert!(error.message.contains(expected), "{error}");
        for address in [
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "fe80::1",
            "169.254.169.254",
        ] {
            let answers: &'static [&'static str] = Box::leak(Box::new([address]));
            assert!(
                resolve(vec![answers], "https://rebind.example.com/")
                    .await
                    .is_err(),
                "{address}"
            );
        }
        let all = resolve(vec![&["1.1.1.1", "2606:4700::1111"]], "https://api.example.com/")
            .await
            .unwrap();
        assert_eq!(all, ["1.1.1.1:443", "[2606:4700::1111]:443"]);
        assert!(resolve(vec![&[]], "https://api.example.com/").await.is_err());
    }

    #[tokio::test]
    async fn a_granted_name_may_point_inside_but_not_at_metadata() {
        assert_eq!(
            resolve(vec![&["192.168.1.7"]], "https://nas.local/")
                .await
                .unwrap(),
            ["192.168.1.7:443"]
        );
        for address in [
            "169.254.169.254",
            "0.0.0.0",
            "224.0.0.1",
            "255.255.255.255",
            "fe80::1",
            "ff02::1",
            "::",
        ] {
            let answers: &'static [&'static str] = Box::leak(Box::new([address]));
            assert!(
                resolve(vec![answers], "https://nas.local/").await.is_err(),
                "{address}"
            );
        }
        // What the user wrote down as an address is what the user meant.
        assert!(resolve(vec![&[]], "https://169.254.169.254/").await.is_ok());
    }

    #[tokio::test]
    async fn one_lookup_serves_all_who_ask_at_once() {
        let resolver = Arc::new(Answers(vec![&["1.1.1.1"], &["127.0.0.1"]], AtomicUsize::new(0)));
        let names = Names::new(Arc::clone(&resolver) as Arc<dyn NameResolver>);
        let all = (0..50).map(|_| names.lookup("api.example.com"));
        let all = futures_util::future::join_all(all).await;
        assert!(
            all.iter()
                .all(|found| found.as_ref().unwrap()[..] == ["1.1.1.1".parse::<IpAddr>().unwrap()])
        );
        assert_eq!(resolver.1.load(Ordering::SeqCst), 1);
    }
}
