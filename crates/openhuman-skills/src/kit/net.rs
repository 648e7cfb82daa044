//! A network of prepared answers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

/// How many requests are remembered.
const MAX_SEEN: usize = 10_000;

/// A request as it would leave, with placeholders where secrets would be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SeenRequest {
    /// The method.
    pub method: String,
    /// The whole address.
    pub url: String,
    /// The headers, with names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, as text.
    pub body: Option<String>,
}

/// A prepared answer.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Reply {
    pub(crate) status: Option<u16>,
    pub(crate) headers: BTreeMap<String, String>,
    /// Text as it is.
    pub(crate) body: Option<String>,
    /// Anything else, which becomes JSON with the content type for it.
    pub(crate) json: Option<Value>,
    /// How long it takes, in milliseconds of simulated time.
    pub(crate) delay: Option<u64>,
    /// Instead of an answer: why the connection fails.
    pub(crate) error: Option<String>,
}

impl Reply {
    pub(crate) fn content(&self) -> String {
        match (&self.body, &self.json) {
            (Some(body), _) => body.clone(),
            (None, Some(json)) => json.to_string(),
            (None, None) => String::new(),
        }
    }
}

/// What answers the requests of a route.
#[derive(Clone, Debug)]
pub(crate) enum Answers {
    /// One after the other; the last one stays.
    Fixed(VecDeque<Reply>),
    /// A function of the test with this number.
    Function(u64),
}

struct Route {
    pattern: Pattern,
    answers: Answers,
}

/// A request that a function of the test must answer.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) function: u64,
    pub(crate) request: SeenRequest,
    pub(crate) reply: oneshot::Sender<Reply>,
}

/// The network of one simulated skill.
pub(crate) struct FakeNet {
    state: Mutex<State>,
    asks: mpsc::UnboundedSender<Ask>,
}

#[derive(Default)]
struct State {
    routes: Vec<Route>,
    seen: Vec<SeenRequest>,
    unmatched: Vec<SeenRequest>,
}

/// How a request is answered.
pub(crate) enum Answer {
    Now(Reply),
    /// When the test has answered.
    Later(oneshot::Receiver<Reply>),
    Unmatched,
}

impl FakeNet {
    pub(crate) fn new() -> (Self, mpsc::UnboundedReceiver<Ask>) {
        let (asks, asked) = mpsc::unbounded_channel();
        let state = Mutex::default();
        (Self { state, asks }, asked)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a route; it goes before the ones there are.
    pub(crate) fn on(&self, pattern: &str, answers: Answers) -> Result<(), String> {
        let pattern = Pattern::parse(pattern)?;
        self.state().routes.push(Route { pattern, answers });
        Ok(())
    }

    pub(crate) fn seen(&self) -> Vec<SeenRequest> {
        self.state().seen.clone()
    }

    /// The requests no route was there for.
    pub(crate) fn unmatched(&self) -> Vec<SeenRequest> {
        self.state().unmatched.clone()
    }

    pub(crate) fn answer(&self, request: SeenRequest) -> Answer {
        let mut state = self.state();
        if state.seen.len() < MAX_SEEN {
            state.seen.push(request.clone());
        }
        let route = state
            .routes
            .iter_mut()
            .rev()
            .find(|route| route.pattern.matches(&request));
        let Some(route) = route else {
            state.unmatched.push(request);
            return Answer::Unmatched;
        };
        match &mut route.answers {
            Answers::Fixed(replies) => {
                let last = replies.len() <= 1;
                let reply = if last {
                    replies.front().cloned()
                } else {
                    replies.pop_front()
                };
                Answer::Now(reply.unwrap_or_default())
            }
            Answers::Function(function) => {
                let (reply, answered) = oneshot::channel();
                let function = *function;
                let _ = self.asks.send(Ask {
                    function,
                    request,
                    reply,
                });
                Answer::Later(answered)
            }
        }
    }
}

/// `METHOD address`, where `*` stands for anything. Without a method every method matches; an address without a query
/// matches every query.
#[derive(Debug)]
struct Pattern {
    method: Option<String>,
    address: String,
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let (method, address) = match text.split_once(char::is_whitespace) {
            Some((method, address)) => (Some(method.to_ascii_uppercase()), address.trim()),
            None => (None, text),
        };
        let method = method.filter(|method| method != "*");
        if !address.contains("://") && !address.starts_with('*') {
            return Err(format!(
                "'{text}' is no route; write it as \"GET https://api.example.com/items/*\""
            ));
        }
        Ok(Self {
            method,
            address: address.to_owned(),
        })
    }

    fn matches(&self, request: &SeenRequest) -> bool {
        let url = if self.address.contains('?') {
            request.url.as_str()
        } else {
            request.url.split(['?', '#']).next().unwrap_or_default()
        };
        let method = self
            .method
            .as_ref()
            .is_none_or(|method| *method == request.method);
        // Addresses as skills build them come with and without the last slash.
        method && (glob(&self.address, url) || glob(&self.address, url.trim_end_matches('/')))
    }
}

/// Whether a text has the shape of a pattern in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(middle) = last.replace(part) {
            let Some((_, after)) = rest.split_once(middle) else {
                return false;
            };
            rest = after;
        }
    }
    match last {
        Some(end) => rest.ends_with(end),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, url: &str) -> SeenRequest {
        SeenRequest {
            method: method.to_owned(),
            url: url.to_owned(),
            ..SeenRequest::default()
        }
    }

    #[test]
    fn routes_match_methods_and_shapes_of_addresses() {
        let cases = [
            ("GET https://a.org/x", "GET", "https://a.org/x", true),
            ("GET https://a.org/x", "GET", "https://a.org/x?page=2", true),
            (
                "GET https://a.org/x?page=1",
                "GET",
                "https://a.org/x?page=2",
                false,
            ),
            (
                "GET https://a.org/x?page=*",
                "GET",
                "https://a.org/x?page=2",
                true,
            ),
            ("GET https://a.org/x", "POST", "https://a.org/x", false),
            ("https://a.org/*", "POST", "https://a.org/x/y", true),
            ("* https://a.org/*/y", "POST", "https://a.org/x/y", true),
            ("GET https://a.org/*/y", "GET", "https://a.org/x/z", false),
            ("GET https://a.org", "GET", "https://a.org/", true),
            ("GET https://a.org/aa*aa", "GET", "https://a.org/aaa", false),
        ];
        for (pattern, method, url, matches) in cases {
            assert_eq!(
                Pattern::parse(pattern).unwrap().matches(&request(method, url)),
                matches,
                "{pattern} {url}"
            );
        }
        assert!(Pattern::parse("nonsense").is_err());
    }

    #[test]
    fn the_newest_route_answers_and_a_series_ends_with_its_last() {
        let (net, _asks) = FakeNet::new();
        let reply = |body: &str| Reply {
            body: Some(body.to_owned()),
            ..Reply::default()
        };
        net.on("https://a.org/*", Answers::Fixed([reply("old")].into()))
            .unwrap();
        net.on("https://a.org/x", Answers::Fixed([reply("1"), reply("2")].into()))
            .unwrap();
        let ask = |url: &str| match net.answer(request("GET", url)) {
            Answer::Now(reply) => reply.content(),
            Answer::Later(_) | Answer::Unmatched => "none".to_owned(),
        };
        let got = [
            "https://a.org/x",
            "https://a.org/x",
            "https://a.org/x",
            "https://a.org/y",
            "https://b.org/",
        ];
        assert_eq!(got.map(ask), ["1", "2", "2", "old", "none"]);
        assert_eq!((net.seen().len(), net.unmatched().len()), (5, 1));
    }
}
