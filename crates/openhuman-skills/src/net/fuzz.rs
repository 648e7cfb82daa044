//! The body of a fuzz target: whatever a skill writes, nothing panics and nothing private is allowed.

use std::net::IpAddr;

use url::Host;

use super::address::is_public;
use super::authorise::{Route, authorise, authorise_socket};
use super::decode::Decoder;
use super::placeholder::{Context, Reference, Wiped, fill};
use super::request::Request;
use super::scan::{Redactor, Scanner};
use crate::{Grant, HostRule};

/// Feeds arbitrary bytes to the checks of egress. The first byte chooses the part.
///
/// # Panics
/// When an invariant does not hold: that is what a fuzzer looks for.
#[doc(hidden)]
pub fn fuzz_egress(data: &[u8]) {
    let Some((&part, data)) = data.split_first() else {
        return;
    };
    match part % 4 {
        0 => urls(data),
        1 => requests(data),
        2 => codings(data),
        _ => secrets(data),
    }
}

/// A grant for every public host on every port never lets a private address or a name of this machine through.
fn urls(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut grant = Grant::none();
    grant
        .allow_host(HostRule::new("*").http().ports(1..=u16::MAX))
        .allow_websocket("*");
    for socket in [false, true] {
        let Ok(request) = Request::parse(&text, &serde_json::Value::Null) else {
            return;
        };
        let url = request.url.clone();
        let decided = if socket {
            authorise_socket(request, &grant)
        } else {
            authorise(request, &grant, &grant)
        };
        let Ok(authorised) = decided else { continue };
        assert!(matches!(url.scheme(), "http" | "https"), "{url}");
        assert!(
            url.username().is_empty() && url.password().is_none() && url.fragment().is_none(),
            "{url}"
        );
        let (_, route, to) = authorised.into_parts();
        assert!(matches!(route, Route::Public { .. }), "{url}");
        assert!(!to.host().is_empty() && to.port() != 0, "{url}");
        match url.host() {
            Some(Host::Ipv4(address)) => assert!(is_public(IpAddr::V4(address)), "{url}"),
            Some(Host::Ipv6(address)) => assert!(is_public(IpAddr::V6(address)), "{url}"),
            Some(Host::Domain(_)) => {
                assert!(to.host().parse::<IpAddr>().is_err(), "{url}");
                assert!(
                    to.host() != "localhost" && !to.host().ends_with(".localhost"),
                    "{url}"
                );
            }
            None => panic!("{url} has no host"),
        }
    }
}

fn requests(data: &[u8]) {
    let Ok(value) = serde_json::from_slice::<serde_json::Value>(data) else {
        return;
    };
    let check = |request: Request| {
        assert!(request.timeout > std::time::Duration::ZERO && request.timeout.as_secs() <= 120);
        for (name, value) in &request.headers {
            let text = value.as_bytes();
            assert!(
                !text.contains(&b'\r') && !text.contains(&b'\n') && !text.contains(&0),
                "{name}"
            );
            assert!(
                !["host", "connection", "transfer-encoding", "content-length"].contains(&name.as_str()),
                "{name}"
            );
        }
    };
    if let Ok(request) = Request::parse("https://example.com/", &value) {
        check(request);
    }
    if let Ok(request) = Request::standard(&value, None) {
        check(request);
    }
}

/// Whatever comes back is decoded in bounded steps.
fn codings(data: &[u8]) {
    let Some((&coding, body)) = data.split_first() else {
        return;
    };
    let name = ["gzip", "deflate", "br", "identity"][usize::from(coding % 4)];
    let Ok(mut decoder) = Decoder::new(name) else {
        return;
    };
    let mut decoded = 0;
    for piece in body.chunks(usize::from(coding) + 1) {
        decoder.push(bytes::Bytes::copy_from_slice(piece));
        loop {
            match decoder.pull() {
                Ok(Some(out)) => {
                    assert!(out.len() <= 64 * 1024);
                    decoded += out.len();
                }
                Ok(None) => break,
                Err(_) => return,
            }
            if decoded > 8 * 1024 * 1024 {
                return;
            }
        }
    }
    let _ = decoder.finish();
}

/// No value is left in what was redacted, whole or in pieces.
fn secrets(data: &[u8]) {
    const VALUE: &[u8] = b"s3cr3t/v";
    let reference = Reference::Value("key".to_owned());
    for context in [Context::Raw, Context::Percent, Context::Json] {
        let _ = fill(data, context, &mut |_: &Reference| Ok(Wiped::new(VALUE.to_vec())));
    }
    let Some(scanner) = Scanner::new([(&reference, VALUE)].into_iter()).map(std::sync::Arc::new) else {
        return;
    };
    let size = usize::from(data.first().copied().unwrap_or(1)) + 1;
    let mut redactor = Redactor::new(Some(std::sync::Arc::clone(&scanner)));
    let mut out = Vec::new();
    for piece in data.chunks(size) {
        out.extend(redactor.push(piece.to_vec()));
    }
    out.extend(redactor.finish());
    assert_eq!(out, scanner.redact(data).into_owned());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_bytes_break_an_invariant(data in proptest::collection::vec(any::<u8>(), 0..300)) {
            fuzz_egress(&data);
        }

        #[test]
        fn no_mutation_of_a_trick_gets_inside(
            index in any::<prop::sample::Index>(),
            cuts in proptest::collection::vec((any::<prop::sample::Index>(), ".{0,3}"), 0..4),
        ) {
            let tricks: Vec<&str> = include_str!("../../tests/data/ssrf.txt")
                .lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
            let mut text: Vec<char> = index.get(&tricks).chars().collect();
            for (at, insert) in cuts {
                let at = at.index(text.len() + 1);
                let cut = insert.chars().count().min(text.len() - at);
                text.splice(at..at + cut / 2, insert.chars());
            }
            let text: String = text.into_iter().collect();
            let mut data = vec![0];
            data.extend_from_slice(text.as_bytes());
            fuzz_egress(&data);
        }
    }
}
