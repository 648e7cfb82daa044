//! An HTTP server on loopback that speaks Neo4j's two interfaces as they are documented, and nothing else.

mod transactions;

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use openhuman_memory::graph::neo4j::Api;
use serde_json::{Map, Value, json};

use self::transactions::handle;
use super::database::Database;

/// What goes wrong with one request.
#[derive(Clone, Copy)]
pub(super) enum Fault {
    /// An error in the body, under the status of a success.
    Report(&'static str),
    /// Another status, and how many seconds to wait.
    Status(u16, Option<u64>),
    /// Another body.
    Body(&'static str),
    /// The connection ends without an answer.
    Hangup,
}

pub(super) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    apis: Vec<Api>,
    stopped: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    database: Database,
    /// Counts commits: a transaction that began before another one was committed has to be made again.
    commits: u64,
    open: HashMap<String, (Database, u64)>,
    transactions: u64,
    authorization: String,
    faults: VecDeque<(&'static str, Fault)>,
}

struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

struct Response {
    status: u16,
    retry_after: Option<u64>,
    body: String,
}

impl Response {
    fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            retry_after: None,
            body: body.to_string(),
        }
    }
}

impl Server {
    pub(super) fn start(apis: &[Api]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // neo4j:very secret
        let state = State {
            authorization: "Basic bmVvNGo6dmVyeSBzZWNyZXQ=".to_owned(),
            ..State::default()
        };
        let shared = Arc::new(Shared {
            apis: apis.to_vec(),
            stopped: AtomicBool::new(false),
            state: Mutex::new(state),
        });
        let server = Self {
            address,
            shared: Arc::clone(&shared),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if shared.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || converse(&shared, stream));
            }
        });
        server
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn accept(&self, authorization: &str) {
        self.shared.state.lock().unwrap().authorization = authorization.to_owned();
    }

    /// The next request whose path ends like this fails.
    pub(super) fn fail(&self, path: &'static str, fault: Fault) {
        self.shared.state.lock().unwrap().faults.push_back((path, fault));
    }

    pub(super) fn pending_faults(&self) -> usize {
        self.shared.state.lock().unwrap().faults.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        let state = self.shared.state.lock().unwrap();
        state.open.is_empty() && state.database == Database::default()
    }

    /// Sends a request as it is.
    pub(super) fn raw(&self, method: &str, path: &str, body: &str, authorised: bool) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let authorization = if authorised {
            self.shared.state.lock().unwrap().authorization.clone()
        } else {
            "no".into()
        };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: {authorization}\r\naccept: application/json\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        (answer[9..12].parse().unwrap(), answer)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
    }
}

fn converse(shared: &Shared, stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut writer = stream;
    while let Some(request) = read_request(&mut reader) {
        let close = request
            .headers
            .get("connection")
            .is_some_and(|value| value == "close");
        let Some(response) = shared.answer(&request) else {
            return;
        };
        let retry = response
            .retry_after
            .map_or(String::new(), |seconds| format!("retry-after: {seconds}\r\n"));
        // In one piece: small ones would wait for each other's acknowledgements.
        let answer = format!(
            "HTTP/1.1 {} X\r\ncontent-type: application/json\r\n{retry}content-length: {}\r\n\r\n{}",
            response.status,
            response.body.len(),
            response.body
        );
        if writer.write_all(answer.as_bytes()).is_err() || close {
            return;
        }
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut parts = line.split_whitespace();
    let (method, path) = (parts.next()?.to_owned(), parts.next()?.to_owned());
    assert_eq!(parts.next(), Some("HTTP/1.1"));
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Request {
        method,
        path,
        headers,
        body,
    })
}

impl Shared {
    /// `None` hangs up.
    fn answer(&self, request: &Request) -> Option<Response> {
        let mut state = self.state.lock().unwrap();
        if request.headers.get("authorization") != Some(&state.authorization) {
            let error =
                json!({"errors": [{"code": "Neo.ClientError.Security.Unauthorized", "message": "no"}]});
            return Some(Response::json(401, &error));
        }
        if request
            .headers
            .get("accept")
            .is_none_or(|accept| accept != "application/json")
        {
            return Some(Response::json(406, &json!({})));
        }
        let at = state
            .faults
            .iter()
            .position(|(path, _)| request.path.ends_with(path));
        if let Some((_, fault)) = at.and_then(|at| state.faults.remove(at)) {
            return self.fail(&mut state, request, fault);
        }
        if request.path == "/" {
            return Some(Response::json(200, &self.discovery()));
        }
        for api in &self.apis {
            let begin = match api {
                Api::Query => "/db/neo4j/query/v2",
                _ => "/db/neo4j/tx",
            };
            if let Some(rest) = request.path.strip_prefix(begin) {
                return Some(handle(&mut state, *api, rest, request));
            }
        }
        Some(Response::json(
            404,
            &json!({"errors": [{"code": "Neo.ClientError.Request.NotFound", "message": ""}]}),
        ))
    }

    fn discovery(&self) -> Value {
        let mut offers = Map::new();
        offers.insert("neo4j_version".into(), json!("5.26.0"));
        offers.insert("bolt_direct".into(), json!("bolt://somewhere:7687"));
        for api in &self.apis {
            match api {
                Api::Query => offers.insert(
                    "query".into(),
                    json!("http://elsewhere/db/{databaseName}/query/v2"),
                ),
                _ => offers.insert(
                    "transaction".into(),
                    json!("http://elsewhere/db/{databaseName}/tx"),
                ),
            };
        }
        Value::Object(offers)
    }

    fn fail(&self, state: &mut State, request: &Request, fault: Fault) -> Option<Response> {
        // Whatever failed, the transaction is gone.
        state
            .open
            .retain(|id, _| !request.path.contains(&format!("/tx/{id}")));
        let status = if self.apis.contains(&Api::Query) { 202 } else { 200 };
        match fault {
            Fault::Hangup => None,
            Fault::Status(status, retry_after) => Some(Response {
                status,
                retry_after,
                body: String::new(),
            }),
            Fault::Body(body) => Some(Response {
                status,
                retry_after: None,
                body: body.to_owned(),
            }),
            Fault::Report(code) => {
                let error = json!({"errors": [{"code": code, "message": "injected"}], "results": []});
                Some(Response::json(status, &error))
            }
        }
    }
}
