//! Several namespaces on one link.

use super::*;

/// The namespaces of a link, two of them connected.
fn three() -> Run {
    let mut run = Run::connected(Limits::default());
    for (id, name) in [(8, "/a"), (9, "/b")] {
        run.session.join(id, name.into(), run.now + SECOND * 20);
    }
    assert_eq!(run.seen(), ["authenticate [8]", "authenticate [9]"]);
    run.session.authenticate(8, None);
    run.session.authenticate(9, Some(&serde_json::json!({"b": 1})));
    assert_eq!(run.seen(), ["send 40/a,", r#"send 40/b,{"b":1}"#]);
    assert_eq!(run.text(r#"40/a,{"sid":"a"}"#).seen(), ["connected [8] a"]);
    run
}

#[test]
fn namespaces_live_and_end_apart() {
    let mut run = three();
    run.text(r#"42/a,["x"]"#).text(r#"42["x"]"#).text(r#"43/a,5[]"#);
    assert_eq!(run.seen(), ["event [8] x None", "event x None", "ack [8] 5"]);
    assert_eq!(run.text(r#"44/b,{"message":"no"}"#).seen(), ["rejected [9] no"]);
    assert_eq!(run.text("41/a,").seen(), ["left [8]"]);
    assert!(run.text(r#"42/a,["x"]"#).text(r#"42/b,["x"]"#).seen().is_empty());
    assert_eq!(run.text(r#"42["x"]"#).seen(), ["event x None"]);
    // It can come again.
    run.session.join(8, "/a".into(), run.now + SECOND);
    run.session.authenticate(8, None);
    assert_eq!(run.seen(), ["authenticate [8]", "send 40/a,"]);
}

#[test]
fn a_namespace_that_times_out_leaves_the_others_alone() {
    let mut run = three();
    for _ in 0..3 {
        run.pass(SECOND * 10).text("2");
    }
    assert_eq!(run.seen(), ["send 3", "timed out [9]", "send 3", "send 3"]);
    assert!(run.session.is_connected(SPACE) && run.session.is_connected(8));
    assert_eq!(run.text(r#"40/b,{"sid":"late"}"#).seen(), ["send 41/b,"]);
}

#[test]
fn leaving_tells_the_server_only_what_it_can_understand() {
    let mut run = three();
    run.session.leave(8);
    assert_eq!(run.seen(), ["send 41/a,"]);
    // DISCONNECT for a namespace that the server has not connected would end the link.
    run.session.leave(9);
    assert!(run.seen().is_empty());
    assert_eq!(run.text(r#"40/b,{"sid":"late"}"#).seen(), ["send 41/b,"]);
}

#[test]
fn events_before_the_connect_ack_wait_in_their_own_namespace() {
    let mut run = three();
    run.text(r#"42/b,["early"]"#).text(r#"42/a,["now"]"#);
    assert_eq!(run.seen(), ["event [8] now None"]);
    run.text(r#"40/b,{"sid":"b","pid":"p"}"#);
    assert_eq!(run.seen(), ["connected [9] b", "event [9] early None"]);
}
