//! What the paths of the two interfaces do: statements alone, and transactions.

use openhuman_memory::graph::neo4j::Api;
use serde_json::{Map, Value, json};

use super::super::cypher;
use super::super::database::Refusal;
use super::{Request, Response, State};

pub(super) fn handle(state: &mut State, api: Api, rest: &str, request: &Request) -> Response {
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
