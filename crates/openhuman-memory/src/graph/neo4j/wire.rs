//! Requests and answers of both HTTP interfaces, without any I/O.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::graph::error::GraphError;

/// Which of Neo4j's HTTP interfaces to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Api {
    /// The Query API, version 2: `/db/{name}/query/v2`. Neo4j 5.19 and later, and Aura.
    Query,
    /// The transactional Cypher endpoint: `/db/{name}/tx`. Deprecated since 5.26, absent on Aura.
    Transactional,
}

/// What a server offers, from what it answers at `/`. The Query API comes first.
pub(crate) fn discovered(body: &[u8]) -> Result<Vec<Api>, GraphError> {
    #[derive(Deserialize)]
    struct Discovery {
        query: Option<String>,
        transaction: Option<String>,
    }
    let discovery: Discovery = serde_json::from_slice(body)
        .map_err(|error| malformed(format!("the discovery document: {error}")))?;
    let offers = |address: &Option<String>, end: &str| {
        address
            .as_deref()
            .is_some_and(|address| address.trim_end_matches('/').ends_with(end))
    };
    let mut found = Vec::new();
    if offers(&discovery.query, "/query/v2") {
        found.push(Api::Query);
    }
    if offers(&discovery.transaction, "/tx") {
        found.push(Api::Transactional);
    }
    if found.is_empty() {
        return Err(malformed("the server names neither /query/v2 nor /tx".to_owned()));
    }
    Ok(found)
}

impl Api {
    /// Where a statement goes that is a transaction by itself.
    pub(crate) fn single(self, database: &str) -> String {
        match self {
            Self::Query => format!("/db/{database}/query/v2"),
            Self::Transactional => format!("/db/{database}/tx/commit"),
        }
    }

    /// Where a transaction begins.
    pub(crate) fn begin(self, database: &str) -> String {
        match self {
            Self::Query => format!("/db/{database}/query/v2/tx"),
            Self::Transactional => format!("/db/{database}/tx"),
        }
    }

    /// Where the statements of an open transaction go.
    pub(crate) fn within(self, database: &str, transaction: &str) -> String {
        format!("{}/{transaction}", self.begin(database))
    }

    /// The body of a request with one statement. `read` is set for a statement outside of a transaction.
    pub(crate) fn body(self, statement: &str, parameters: &Value, read: Option<bool>) -> Value {
        match self {
            Self::Query => {
                let mut body = json!({"statement": statement, "parameters": parameters});
                if let Some(read) = read {
                    body["accessMode"] = json!(if read { "READ" } else { "WRITE" });
                }
                body
            }
            Self::Transactional => json!({
                "statements": [{
                    "statement": statement,
                    "parameters": parameters,
                    "resultDataContents": ["row"],
                }],
            }),
        }
    }

    /// The body of a request that ends a transaction.
    pub(crate) fn empty(self) -> Value {
        match self {
            Self::Query => json!({}),
            Self::Transactional => json!({"statements": []}),
        }
    }
}

/// What came back for one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Answer {
    pub(crate) rows: Vec<Vec<Value>>,
    /// The identifier of the transaction that is open now.
    pub(crate) transaction: Option<String>,
}

#[derive(Deserialize)]
struct Reported {
    code: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct QueryBody {
    data: Option<QueryData>,
    #[serde(default)]
    errors: Vec<Reported>,
    transaction: Option<QueryTransaction>,
}

#[derive(Deserialize)]
struct QueryData {
    fields: Vec<String>,
    values: Vec<Vec<Value>>,
}

#[derive(Deserialize)]
struct QueryTransaction {
    id: String,
}

#[derive(Deserialize)]
struct TransactionalBody {
    #[serde(default)]
    results: Vec<TransactionalResult>,
    #[serde(default)]
    errors: Vec<Reported>,
    commit: Option<String>,
}

#[derive(Deserialize)]
struct TransactionalResult {
    columns: Vec<String>,
    data: Vec<TransactionalRow>,
}

#[derive(Deserialize)]
struct TransactionalRow {
    row: Vec<Value>,
}

/// Reads an answer. Errors count wherever they are: a body with errors is a failure whatever its status says.
///
/// # Errors
///
/// [`GraphError::Refused`] with the server's code, [`GraphError::Malformed`].
pub(crate) fn read(api: Api, status: u16, body: &[u8]) -> Result<Answer, GraphError> {
    let success = (200..300).contains(&status);
    if success && body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Answer::default());
    }
    let answer = match api {
        Api::Query => read_query(body),
        Api::Transactional => read_transactional(body),
    };
    match answer {
        Ok(answer) if success => Ok(answer),
        Err(refused @ GraphError::Refused { .. }) => Err(refused),
        Err(error) if success => Err(error),
        _ => Err(GraphError::Refused {
            code: format!("HTTP {status}"),
            message: excerpt(body),
        }),
    }
}

fn read_query(body: &[u8]) -> Result<Answer, GraphError> {
    let body: QueryBody = parse(body)?;
    reported(&body.errors)?;
    let rows = match body.data {
        None => Vec::new(),
        Some(data) => checked(data.fields.len(), data.values)?,
    };
    Ok(Answer {
        rows,
        transaction: body
            .transaction
            .map(|transaction| transaction.id)
            .filter(|id| plain(id)),
    })
}

fn read_transactional(body: &[u8]) -> Result<Answer, GraphError> {
    let body: TransactionalBody = parse(body)?;
    reported(&body.errors)?;
    let mut rows = Vec::new();
    for result in body.results {
        let values = result.data.into_iter().map(|data| data.row).collect();
        rows.extend(checked(result.columns.len(), values)?);
    }
    let transaction = body.commit.as_deref().and_then(|address| {
        let id = address.strip_suffix("/commit")?.rsplit('/').next()?;
        plain(id).then(|| id.to_owned())
    });
    Ok(Answer { rows, transaction })
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, GraphError> {
    serde_json::from_slice(body).map_err(|error| malformed(error.to_string()))
}

fn reported(errors: &[Reported]) -> Result<(), GraphError> {
    match errors.first() {
        None => Ok(()),
        Some(error) => Err(GraphError::Refused {
            code: error
                .code
                .clone()
                .unwrap_or_else(|| "an error without a code".to_owned()),
            message: error.message.clone().unwrap_or_default(),
        }),
    }
}

fn checked(columns: usize, rows: Vec<Vec<Value>>) -> Result<Vec<Vec<Value>>, GraphError> {
    match rows.iter().find(|row| row.len() != columns) {
        None => Ok(rows),
        Some(row) => Err(malformed(format!(
            "a row of {} values under {columns} columns",
            row.len()
        ))),
    }
}

/// An identifier goes into a path, so it may not lead elsewhere.
fn plain(id: &str) -> bool {
    !id.is_empty()
        && id.len() <= 128
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// Whether the server says that the same transaction may succeed when it is made again.
pub(crate) fn is_worth_retrying(error: &GraphError) -> bool {
    match error {
        GraphError::Refused { code, .. } => {
            // These two are called transient, and are what somebody wanted.
            let wanted = [
                "Neo.TransientError.Transaction.Terminated",
                "Neo.TransientError.Transaction.LockClientStopped",
            ];
            let busy = ["HTTP 429", "HTTP 503"];
            (code.starts_with("Neo.TransientError.") && !wanted.contains(&code.as_str()))
                || busy.contains(&code.as_str())
        }
        _ => false,
    }
}

pub(crate) fn malformed(reason: String) -> GraphError {
    GraphError::Malformed { reason }
}

/// The beginning of a body that is no JSON, for the message.
fn excerpt(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
    if text.trim().is_empty() {
        "without a reason".to_owned()
    } else {
        text
    }
}

/// A row's values one after another, each as the type it must have.
pub(crate) struct Columns(std::vec::IntoIter<Value>);

impl Columns {
    pub(crate) fn of(row: Vec<Value>) -> Self {
        Self(row.into_iter())
    }

    fn next(&mut self) -> Result<Value, GraphError> {
        self.0
            .next()
            .ok_or_else(|| malformed("a row with too few values".to_owned()))
    }

    pub(crate) fn text(&mut self) -> Result<String, GraphError> {
        match self.next()? {
            Value::String(text) => Ok(text),
            other => Err(malformed(format!("{other} where a text belongs"))),
        }
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<String>, GraphError> {
        match self.next()? {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            other => Err(malformed(format!("{other} where a text or nothing belongs"))),
        }
    }

    pub(crate) fn int(&mut self) -> Result<i64, GraphError> {
        self.maybe_int()?
            .ok_or_else(|| malformed("nothing where a whole number belongs".to_owned()))
    }

    pub(crate) fn maybe_int(&mut self) -> Result<Option<i64>, GraphError> {
        match self.next()? {
            Value::Null => Ok(None),
            value => value
                .as_i64()
                .map(Some)
                .ok_or_else(|| malformed(format!("{value} where a whole number belongs"))),
        }
    }

    pub(crate) fn real(&mut self) -> Result<f64, GraphError> {
        let value = self.next()?;
        value
            .as_f64()
            .ok_or_else(|| malformed(format!("{value} where a number belongs")))
    }

    pub(crate) fn flag(&mut self) -> Result<bool, GraphError> {
        let value = self.next()?;
        value
            .as_bool()
            .ok_or_else(|| malformed(format!("{value} where true or false belongs")))
    }

    pub(crate) fn list(&mut self) -> Result<Vec<Value>, GraphError> {
        match self.next()? {
            Value::Array(values) => Ok(values),
            other => Err(malformed(format!("{other} where a list belongs"))),
        }
    }
}

#[cfg(test)]
#[path = "wire/tests.rs"]
mod tests;
