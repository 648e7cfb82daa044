//! An HTTP server on loopback that speaks Neo4j's two interfaces as they are documented, and nothing else.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use openhuman_memory::graph::neo4j::Api;
use serde_json::{Map, Value, json};

use super::cypher;
use super::database::{Database, Refusal};

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

fn handle(state: &mut State, api: Api, rest: &str, request: &Request) -> Response {
    if request.method != "POST" && !(request.method == "DELETE" && rest.contains('/')) {
        return Response::json(405, &json!({}));
    }
    // The Query API puts `/tx` before transactions, the older interface begins with it.
    let within = if api == Api::Query {
        rest.strip_prefix("/tx")
    } else {
        Some(rest)
    };
    match within {
        None if rest.is_empty() => alone(state, api, request),
        Some("/commit") if api != Api::Query => alone(state, api, request),
        Some("") => begin(state, api, request),
        Some(within) => match within
            .strip_prefix('/')
            .map(|path| path.split_once('/').unwrap_or((path, "")))
        {
            Some((id, "")) if request.method == "DELETE" => rollback(state, id),
            Some((id, "")) => go_on(state, api, request, id),
            Some((id, "commit")) => commit(state, api, request, id),
            _ => Response::json(404, &json!({})),
        },
        None => Response::json(404, &json!({})),
    }
}

fn alone(state: &mut State, api: Api, request: &Request) -> Response {
    let mut database = state.database.clone();
    let done = statement(api, request, true)
        .and_then(|(text, parameters, read)| cypher::execute(&mut database, &text, &parameters, read));
    if done.is_ok() {
        state.commits += u64::from(database != state.database);
        state.database = database;
    }
    respond(api, done, None, false)
}

fn begin(state: &mut State, api: Api, request: &Request) -> Response {
    let mut database = state.database.clone();
    let done = statement(api, request, false)
        .and_then(|(text, parameters, _)| cypher::execute(&mut database, &text, &parameters, false));
    state.transactions += 1;
    let id = format!("t{}", state.transactions);
    if done.is_ok() {
        state.open.insert(id.clone(), (database, state.commits));
    }
    respond(api, done, Some(&id), true)
}

fn go_on(state: &mut State, api: Api, request: &Request, id: &str) -> Response {
    let Some((mut database, commits)) = state.open.remove(id) else {
        return unknown(api);
    };
    let done = statement(api, request, false)
        .and_then(|(text, parameters, _)| cypher::execute(&mut database, &text, &parameters, false));
    if done.is_ok() {
        state.open.insert(id.to_owned(), (database, commits));
    }
    respond(api, done, Some(id), false)
}

fn commit(state: &mut State, api: Api, request: &Request, id: &str) -> Response {
    let Some((database, commits)) = state.open.remove(id) else {
        return unknown(api);
    };
    let empty: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    let expected = if api == Api::Query {
        json!({})
    } else {
        json!({"statements": []})
    };
    let done = if empty != expected {
        Err(Refusal::client(
            "Request.Invalid",
            "a commit carries nothing here",
        ))
    } else if commits != state.commits && database != state.database {
        Err(Refusal(
            "Neo.TransientError.Transaction.DeadlockDetected".into(),
            "somebody was faster".into(),
        ))
    } else {
        state.commits += u64::from(database != state.database);
        state.database = database;
        Ok((Vec::new(), Vec::new()))
    };
    respond(api, done, None, false)
}

fn rollback(state: &mut State, id: &str) -> Response {
    let status = if state.open.remove(id).is_some() { 200 } else { 404 };
    Response::json(status, &json!({"results": [], "errors": []}))
}

fn unknown(api: Api) -> Response {
    let error = Refusal::client("Transaction.TransactionNotFound", "no such transaction");
    let mut response = respond(api, Err(error), None, false);
    response.status = 404;
    response
}

/// The one statement of a request, its parameters and whether it may only read.
fn statement(api: Api, request: &Request, alone: bool) -> Result<(String, Value, bool), Refusal> {
    let wrong = |what: &str| Refusal::client("Request.InvalidFormat", what);
    if request
        .headers
        .get("content-type")
        .is_none_or(|kind| kind != "application/json")
    {
        return Err(wrong("content-type"));
    }
    let body: Value = serde_json::from_slice(&request.body).map_err(|error| wrong(&error.to_string()))?;
    let (object, read) = if api == Api::Query {
        let mode = body
            .get("accessMode")
            .map(|mode| mode.as_str().unwrap_or_default());
        let allowed = if alone {
            &["statement", "parameters", "accessMode"][..]
        } else {
            &["statement", "parameters"]
        };
        (exactly(&body, allowed)?, mode == Some("READ"))
    } else {
        let statements = exactly(&body, &["statements"])?
            .get("statements")
            .and_then(Value::as_array);
        let [one] = statements.map(Vec::as_slice).unwrap_or_default() else {
            return Err(wrong("one statement"));
        };
        let object = exactly(one, &["statement", "parameters", "resultDataContents"])?;
        if object["resultDataContents"] != json!(["row"]) {
            return Err(wrong("resultDataContents"));
        }
        (object, false)
    };
    let text = object["statement"].as_str().ok_or_else(|| wrong("statement"))?;
    Ok((text.to_owned(), object["parameters"].clone(), read))
}

fn exactly<'a>(value: &'a Value, keys: &[&str]) -> Result<&'a Map<String, Value>, Refusal> {
    let object = value
        .as_object()
        .ok_or_else(|| Refusal::client("Request.InvalidFormat", "an object"))?;
    let mut found: Vec<&str> = object.keys().map(String::as_str).collect();
    let mut expected = keys.to_vec();
    found.sort_unstable();
    expected.sort_unstable();
    if found == expected {
        Ok(object)
    } else {
        Err(Refusal::client(
            "Request.InvalidFormat",
            &format!("{found:?} where {expected:?} belong"),
        ))
    }
}

type Table = (Vec<String>, Vec<Vec<Value>>);

fn respond(api: Api, done: Result<Table, Refusal>, transaction: Option<&str>, begun: bool) -> Response {
    let error = done
        .as_ref()
        .err()
        .map(|Refusal(code, message)| json!([{"code": code, "message": message}]));
    if api == Api::Query {
        if let Some(errors) = error {
            return Response::json(400, &json!({"errors": errors}));
        }
        let (fields, values) = done.unwrap_or_default();
        let mut body = json!({"data": {"fields": fields, "values": values}, "bookmarks": ["FB:kcw"]});
        if let Some(id) = transaction {
            body["transaction"] = json!({"id": id, "expires": "2030-01-01T00:00:00Z"});
        }
        return Response::json(202, &body);
    }
    let mut body = json!({"results": [], "errors": error.clone().unwrap_or(json!([])), "lastBookmarks": []});
    if let Ok((columns, rows)) = done
        && !columns.is_empty()
    {
        let data: Vec<Value> = rows
            .into_iter()
            .map(|row| json!({"row": row, "meta": []}))
            .collect();
        body["results"] = json!([{"columns": columns, "data": data}]);
    }
    if let (Some(id), None) = (transaction, &error) {
        body["commit"] = json!(format!("http://elsewhere/db/neo4j/tx/{id}/commit"));
        body["transaction"] = json!({"expires": "Thu, 3 Aug 2030 11:45:10 GMT"});
    }
    Response::json(if begun && error.is_none() { 201 } else { 200 }, &body)
}
