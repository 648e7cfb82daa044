//! Neo4j: the contract suite on a strict imitation of both HTTP interfaces, and on a real server when `NEO4J_URL` is
//! set (with `NEO4J_USER` and `NEO4J_PASSWORD` when it asks for them).

mod cypher;
mod database;
mod server;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use openhuman_memory::graph::neo4j::{Api, Credentials, Neo4jGraph, Neo4jOptions};
use openhuman_memory::graph::{Assertion, Change, FactQuery, GraphError, GraphStore, Object, conformance};

use server::{Fault, Server};

fn options(server: &Server) -> Neo4jOptions {
    Neo4jOptions {
        credentials: Credentials::Basic {
            user: "neo4j".to_owned(),
            password: "very secret".to_owned(),
        },
        pause: Arc::new(|_, _| ()),
        ..Neo4jOptions::new(server.url())
    }
}

fn ada(place: &str, from: i64) -> Change {
    Change::Assert(Assertion::one("Ada", "lives in", Object::entity(place), from))
}

#[test]
fn neo4j_conforms_over_the_query_api() {
    let server = Server::start(&[Api::Query]);
    let graph = Neo4jGraph::connect(options(&server)).unwrap();
    assert_eq!(graph.api(), Api::Query);
    let report = conformance::run(&graph, "suite");
    assert!(report.failures.is_empty(), "{report}");
    assert!(server.is_empty(), "every case removed what it made");
}

#[test]
fn neo4j_conforms_over_the_transactional_endpoint() {
    let server = Server::start(&[Api::Transactional]);
    let graph = Neo4jGraph::connect(options(&server)).unwrap();
    assert_eq!(graph.api(), Api::Transactional);
    let report = conformance::run(&graph, "suite");
    assert!(report.failures.is_empty(), "{report}");
    assert!(server.is_empty(), "every case removed what it made");
}

#[test]
fn a_real_neo4j_conforms() {
    let Ok(url) = std::env::var("NEO4J_URL") else {
        println!("skipped: NEO4J_URL is not set");
        return;
    };
    let credentials = match (std::env::var("NEO4J_USER"), std::env::var("NEO4J_PASSWORD")) {
        (Ok(user), Ok(password)) => Credentials::Basic { user, password },
        _ => Credentials::None,
    };
    let first = Neo4jGraph::connect(Neo4jOptions {
        credentials: credentials.clone(),
        ..Neo4jOptions::new(&*url)
    });
    let first = first.unwrap();
    let mut graphs = vec![first];
    if graphs[0].api() == Api::Query {
        let old = Neo4jOptions {
            credentials,
            api: Some(Api::Transactional),
            ..Neo4jOptions::new(url)
        };
        // Aura does not have the old interface.
        graphs.extend(Neo4jGraph::connect(old));
    }
    for graph in graphs {
        let report = conformance::run(&graph, &format!("conformance {}", std::process::id()));
        assert!(report.failures.is_empty(), "{:?}: {report}", graph.api());
    }
}

#[test]
fn the_query_api_is_preferred() {
    let server = Server::start(&[Api::Query, Api::Transactional]);
    assert_eq!(Neo4jGraph::connect(options(&server)).unwrap().api(), Api::Query);
    let forced = Neo4jOptions {
        api: Some(Api::Transactional),
        ..options(&server)
    };
    let graph = Neo4jGraph::connect(forced).unwrap();
    graph.apply("n", &[ada("London", 1)], 1).unwrap();
    assert_eq!(graph.facts(&FactQuery::all("n")).unwrap().len(), 1);
}

#[test]
fn credentials_are_sent_and_not_printed() {
    for api in [Api::Query, Api::Transactional] {
        let server = Server::start(&[api]);
        for credentials in [
            Credentials::None,
            Credentials::Bearer("x".to_owned()),
            Credentials::Basic {
                user: "neo4j".into(),
                password: "no".into(),
            },
        ] {
            let refused = Neo4jGraph::connect(Neo4jOptions {
                api: Some(api),
                credentials,
                ..options(&server)
            });
            assert!(
                matches!(refused, Err(GraphError::Unauthorised { .. })),
                "{refused:?}"
            );
        }
        server.accept("Bearer token 9");
        let bearer = Credentials::Bearer("token 9".to_owned());
        assert!(
            Neo4jGraph::connect(Neo4jOptions {
                credentials: bearer,
                ..options(&server)
            })
            .is_ok()
        );
        assert!(!format!("{:?}", options(&server)).contains("secret"));
    }
}

#[test]
fn transient_errors_are_tried_again_and_the_transaction_with_them() {
    for api in [Api::Query, Api::Transactional] {
        let server = Server::start(&[api]);
        let graph = Neo4jGraph::connect(options(&server)).unwrap();
        let deadlock = || Fault::Report("Neo.TransientError.Transaction.DeadlockDetected");
        server.fail("/tx", deadlock());
        server.fail("/commit", deadlock());
        graph.apply("n", &[ada("London", 1), ada("Paris", 2)], 1).unwrap();
        server.fail(
            if api == Api::Query {
                "/query/v2"
            } else {
                "/tx/commit"
            },
            deadlock(),
        );
        assert_eq!(
            graph.facts(&FactQuery::all("n")).unwrap().len(),
            2,
            "nothing twice"
        );
        assert_eq!(server.pending_faults(), 0);
    }
}

#[test]
fn a_server_that_stays_busy_is_given_up_after_the_retries() {
    let server = Server::start(&[Api::Query]);
    let pauses = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&pauses);
    let pause = Arc::new(move |attempt, asked| seen.lock().unwrap().push((attempt, asked)));
    let graph = Neo4jGraph::connect(Neo4jOptions {
        retries: 3,
        pause,
        ..options(&server)
    })
    .unwrap();
    for _ in 0..9 {
        server.fail("/query/v2", Fault::Status(429, Some(7)));
    }
    let error = graph.stats("n").unwrap_err();
    assert!(error.to_string().contains("HTTP 429"), "{error}");
    let week = Some(Duration::from_secs(7));
    assert_eq!(*pauses.lock().unwrap(), [(1, week), (2, week), (3, week)]);
    assert_eq!(server.pending_faults(), 5);
}

#[test]
fn other_errors_are_not_tried_again_wherever_they_are() {
    let codes = [
        "Neo.ClientError.Statement.SyntaxError",
        "Neo.DatabaseError.General.UnknownError",
        "Neo.TransientError.Transaction.Terminated",
    ];
    for api in [Api::Query, Api::Transactional] {
        let server = Server::start(&[api]);
        let graph = Neo4jGraph::connect(options(&server)).unwrap();
        for code in codes {
            // A good status with an error in the body.
            server.fail("/commit", Fault::Report(code));
            let result = graph.apply("n", &[ada("London", 1)], 1);
            assert!(
                matches!(&result, Err(GraphError::Refused { code: found, .. }) if found == code),
                "{result:?}"
            );
            assert_eq!(
                graph.facts(&FactQuery::all("n")).unwrap().len(),
                0,
                "nothing half-done"
            );
        }
        assert_eq!(server.pending_faults(), 0);
    }
}

#[test]
fn broken_answers_are_errors() {
    let server = Server::start(&[Api::Query]);
    let graph = Neo4jGraph::connect(options(&server)).unwrap();
    server.fail("/query/v2", Fault::Body("<html>"));
    assert!(matches!(graph.stats("n"), Err(GraphError::Malformed { .. })));
    server.fail(
        "/query/v2",
        Fault::Body(r#"{"data":{"fields":["a"],"values":[]}}"#),
    );
    assert!(matches!(graph.stats("n"), Err(GraphError::Malformed { .. })));
    server.fail("/query/v2", Fault::Status(500, None));
    assert!(matches!(graph.stats("n"), Err(GraphError::Refused { .. })));
    server.fail("/query/v2", Fault::Hangup);
    let error = graph.stats("n").unwrap_err();
    assert!(
        matches!(&error, GraphError::Unreachable { .. }) && error.is_transient(),
        "{error}"
    );
    assert_eq!(graph.stats("n").unwrap().facts, 0);
}

#[test]
fn addresses_and_names_are_checked_before_anything_is_sent() {
    for (url, database) in [
        ("nonsense", "neo4j"),
        ("ftp://x", "neo4j"),
        ("http://127.0.0.1:1", "a/../b"),
        ("http://127.0.0.1:1", ""),
    ] {
        let options = Neo4jOptions {
            database: database.to_owned(),
            ..Neo4jOptions::new(url)
        };
        let result = Neo4jGraph::connect(options);
        assert!(
            matches!(result, Err(GraphError::Config { .. })),
            "{url} {database}: {result:?}"
        );
    }
    // Bound and let go: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nobody = Neo4jGraph::connect(Neo4jOptions::new(format!("http://127.0.0.1:{port}")));
    assert!(
        matches!(nobody, Err(GraphError::Unreachable { .. })),
        "{nobody:?}"
    );
}

#[test]
fn writers_at_the_same_time_lose_nothing() {
    for api in [Api::Query, Api::Transactional] {
        let server = Server::start(&[api]);
        let graph = Neo4jGraph::connect(Neo4jOptions {
            retries: 200,
            ..options(&server)
        })
        .unwrap();
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let graph = &graph;
                scope.spawn(move || {
                    for n in 0..5 {
                        graph
                            .apply("n", &[ada(&format!("place {writer} {n}"), n * 4 + writer)], 1)
                            .unwrap();
                    }
                });
            }
        });
        let facts = graph.facts(&FactQuery::all("n")).unwrap();
        assert_eq!(facts.len(), 20);
        assert_eq!(
            facts.iter().filter(|fact| fact.valid_until.is_none()).count(),
            1,
            "one home at a time"
        );
    }
}

/// The imitation refuses what is not on its list, or it would prove nothing.
#[test]
fn the_imitation_is_strict() {
    let server = Server::start(&[Api::Query, Api::Transactional]);
    let good = r#"{"statement":"MATCH (n:OhSpace {ns: $ns}) DELETE n","parameters":{"ns":"a"},"accessMode":"WRITE"}"#;
    let post = |path: &str, body: &str| server.raw("POST", path, body, true);
    assert_eq!(post("/db/neo4j/query/v2", good).0, 202);
    for (path, body) in [
        (
            "/db/neo4j/query/v2",
            r#"{"statement":"MATCH (n) RETURN n","parameters":{}}"#.to_owned(),
        ),
        ("/db/neo4j/query/v2", good.replace(r#""ns":"a""#, r#""ns":7"#)),
        (
            "/db/neo4j/query/v2",
            good.replace(r#""ns":"a""#, r#""ns":"a","more":1"#),
        ),
        ("/db/neo4j/query/v2", good.replace("WRITE", "READ")),
        ("/db/neo4j/query/v2", good.replace("accessMode", "mode")),
        ("/db/neo4j/query/v2", "{".to_owned()),
        ("/db/neo4j/tx/commit", good.to_owned()),
        ("/db/other/query/v2", good.to_owned()),
        ("/db/neo4j/query/v2/tx/77", good.to_owned()),
    ] {
        let (status, answer) = post(path, &body);
        assert!(
            answer.contains("Neo.ClientError.") || status == 404,
            "{path} {body}: {status} {answer}"
        );
    }
    assert_eq!(server.raw("GET", "/db/neo4j/query/v2", "", true).0, 405);
    assert_eq!(server.raw("POST", "/db/neo4j/query/v2", good, false).0, 401);
}
