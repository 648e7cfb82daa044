use super::*;
use crate::endpoint::{Address, Endpoint};
use crate::limits::Limits;

pub(super) fn text(text: &'static str) -> Frame {
    Frame::Text(Utf8Bytes::from_static(text))
}

pub(super) fn polling(max_payload: usize) -> Polling {
    let headers = [("X-Bytes".to_owned(), "\u{e9}".to_owned())];
    let address = Address {
        headers: &headers,
        ..Address::of("http://h/base?a=1")
    };
    let dialer = Dialer::new(Endpoint::new(&address).unwrap(), Limits::default());
    Polling {
        dialer: Arc::new(dialer),
        sid: None,
        max_payload,
        incoming: Frames::default(),
        outgoing: VecDeque::new(),
        outgoing_bytes: 0,
        get: None,
        post: None,
        idle_get: None,
        idle_post: None,
        upgrade: Upgrade::None,
        closing: false,
        requests: 0,
    }
}

pub(super) fn body(polling: &mut Polling) -> String {
    String::from_utf8(polling.batch().to_vec()).unwrap()
}

pub(super) fn decode(body: &'static [u8]) -> Result<Vec<Frame>, &'static str> {
    Frames::new(Bytes::from_static(body)).collect()
}

#[test]
fn bodies_are_split_and_binary_is_read() {
    let decoded = decode(b"0{}\x1e4x\x1ebAQIe\x1eb").unwrap();
    assert_eq!(
        decoded,
        [
            text("0{}"),
            text("4x"),
            Frame::Binary(Bytes::from_static(&[1, 2, 0x1e])),
            Frame::Binary(Bytes::new()),
        ]
    );
    for bad in [&b"4a\x1ebA"[..], b"b*", b"bAQI", b"4\xff"] {
        assert!(decode(bad).is_err(), "{bad:?}");
    }
    // An empty body is an empty packet, which the session refuses.
    assert_eq!(decode(b"").unwrap(), [text("")]);
}

#[test]
fn packets_are_gathered_up_to_what_the_server_takes() {
    let mut polling = polling(10);
    for frame in ["4aaaa", "4bbb", "4c"] {
        polling.start_send(text(frame));
    }
    assert_eq!(body(&mut polling), "4aaaa\u{1e}4bbb");
    assert_eq!(body(&mut polling), "4c");
    // One that is too large goes alone: the server decides.
    polling.start_send(text("4aaaaaaaaaaaaaa"));
    polling.start_send(Frame::Binary(Bytes::from_static(&[1, 2, 3, 4])));
    assert_eq!(body(&mut polling), "4aaaaaaaaaaaaaa");
    assert_eq!(body(&mut polling), "bAQIDBA==");
    assert_eq!(polling.outgoing_bytes, 0);
}

#[test]
fn a_request_has_its_session_its_headers_and_its_cookies() {
    let polling = polling(10);
    polling.dialer.cookies.take("io=abc; Path=/", SystemTime::now());
    let head = head(&polling.dialer, "POST", Some("s1"), 7, Some(3));
    let head = String::from_utf8(head).unwrap();
    assert!(
        head.starts_with(
            "POST /base/socket.io/?EIO=4&transport=polling&sid=s1&a=1&t=7 HTTP/1.1\r\nHost: h\r\n"
        )
    );
    assert!(head.contains("\r\nContent-Length: 3\r\n") && head.contains("\r\nCookie: io=abc\r\n"));
    assert!(head.ends_with("\r\nx-bytes: \u{e9}\r\n\r\n"));
}

#[test]
fn what_waits_is_bounded() {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut polling = polling(10);
    for _ in 0..MAX_WAITING_FRAMES {
        assert!(polling.poll_ready(&mut cx).is_ready());
        polling.start_send(text("4"));
    }
    assert!(polling.poll_ready(&mut cx).is_pending());
}

/// A hostile server's body of separators: it is as many frames as it has bytes, and they are not there at once.
#[test]
fn frames_are_taken_out_one_by_one() {
    let mut frames = Frames::new(Bytes::from(vec![SEPARATOR; 1_000_000]));
    assert_eq!(frames.next(), Some(Ok(text(""))));
    assert!(!frames.is_empty() && size_of_val(&frames) <= 40);
    assert_eq!(frames.count(), 1_000_000);
}
