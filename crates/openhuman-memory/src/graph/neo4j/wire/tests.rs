use super::*;

fn code(result: Result<Answer, GraphError>) -> String {
    match result {
        Err(GraphError::Refused { code, .. }) => code,
        other => format!("{other:?}"),
    }
}

#[test]
fn answers_of_both_interfaces_are_the_same_rows() {
    let query = br#"{"data":{"fields":["a","b"],"values":[[1,"x"],[null,true]]},"bookmarks":["FB:1"],"notifications":[],
                     "transaction":{"id":"17f","expires":"2026-01-01T00:00:00Z"}}"#;
    let old = br#"{"results":[{"columns":["a","b"],"data":[{"row":[1,"x"],"meta":[null,null]},{"row":[null,true]}]}],
                   "errors":[],"commit":"http://localhost:7474/db/neo4j/tx/17f/commit","lastBookmarks":[]}"#;
    let expected = read(Api::Query, 202, query).unwrap();
    assert_eq!(expected.rows.len(), 2);
    assert_eq!(expected.transaction.as_deref(), Some("17f"));
    assert_eq!(read(Api::Transactional, 200, old).unwrap(), expected);
}

#[test]
fn errors_inside_a_good_status_are_errors() {
    let body = br#"{"results":[],"data":{"fields":[],"values":[]},
                    "errors":[{"code":"Neo.ClientError.Statement.SyntaxError","message":"no"}]}"#;
    for (api, status) in [
        (Api::Query, 202),
        (Api::Query, 200),
        (Api::Transactional, 200),
        (Api::Transactional, 201),
    ] {
        assert_eq!(
            code(read(api, status, body)),
            "Neo.ClientError.Statement.SyntaxError"
        );
    }
}

#[test]
fn what_is_not_an_answer_is_named() {
    assert_eq!(code(read(Api::Query, 502, b"<html>bad gateway")), "HTTP 502");
    assert_eq!(code(read(Api::Query, 500, b"")), "HTTP 500");
    for body in [
        &b"[]"[..],
        b"nonsense",
        br#"{"data":{"fields":["a"],"values":[[1,2]]}}"#,
        br#"{"data":7}"#,
    ] {
        let error = read(Api::Query, 202, body).unwrap_err();
        assert!(matches!(error, GraphError::Malformed { .. }), "{error}");
    }
    assert_eq!(read(Api::Query, 202, b" ").unwrap(), Answer::default());
}

#[test]
fn a_transaction_cannot_lead_elsewhere() {
    let body = br#"{"data":null,"transaction":{"id":"../../system/tx"}}"#;
    assert_eq!(read(Api::Query, 202, body).unwrap().transaction, None);
    let body = br#"{"results":[],"errors":[],"commit":"http://h/db/neo4j/tx/a%2f..%2fb/commit"}"#;
    assert_eq!(read(Api::Transactional, 201, body).unwrap().transaction, None);
}

#[test]
fn discovery_prefers_the_query_api() {
    let both = br#"{"query":"http://h:7474/db/{databaseName}/query/v2","transaction":"http://h:7474/db/{databaseName}/tx","neo4j_version":"5.26.0"}"#;
    assert_eq!(discovered(both).unwrap(), [Api::Query, Api::Transactional]);
    let old = br#"{"transaction":"http://h:7474/db/{databaseName}/tx"}"#;
    assert_eq!(discovered(old).unwrap(), [Api::Transactional]);
    assert!(discovered(b"{}").is_err() && discovered(b"<html>").is_err());
}

#[test]
fn only_what_is_transient_is_tried_again() {
    let refused = |code: &str| GraphError::Refused {
        code: code.to_owned(),
        message: String::new(),
    };
    for code in [
        "Neo.TransientError.Transaction.DeadlockDetected",
        "HTTP 429",
        "HTTP 503",
    ] {
        assert!(is_worth_retrying(&refused(code)), "{code}");
    }
    for code in [
        "Neo.ClientError.Statement.SyntaxError",
        "Neo.DatabaseError.General.UnknownError",
        "Neo.TransientError.Transaction.Terminated",
        "HTTP 500",
        "XNeo.TransientError.",
    ] {
        assert!(!is_worth_retrying(&refused(code)), "{code}");
    }
    assert!(!is_worth_retrying(&malformed(String::new())));
}

#[test]
fn bodies_have_the_documented_shape() {
    let body = Api::Query.body("RETURN $x", &json!({"x": 1}), Some(true));
    assert_eq!(
        body,
        json!({"statement": "RETURN $x", "parameters": {"x": 1}, "accessMode": "READ"})
    );
    let body = Api::Transactional.body("RETURN $x", &json!({"x": 1}), None);
    assert_eq!(body["statements"][0]["resultDataContents"], json!(["row"]));
    assert_eq!(Api::Query.begin("neo4j"), "/db/neo4j/query/v2/tx");
    assert_eq!(Api::Transactional.within("neo4j", "7"), "/db/neo4j/tx/7");
}
