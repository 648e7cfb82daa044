//! Following a redirect: a new request that starts at the first stage again.

use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION};
use http::{HeaderMap, HeaderName, Method, StatusCode};
use url::Url;

use super::error::NetError;
use super::placeholder::holds_placeholder;
use super::request::{Redirect, Request};
use super::scan::Scanner;
use super::seal::carries_secret;

/// Redirects that are followed for one request.
pub(crate) const MAX_REDIRECTS: usize = 3;

/// Where an answer sends the request, if it does and the skill wants to go there.
pub(crate) fn destination(
    request: &Request,
    status: StatusCode,
    headers: &HeaderMap,
) -> Result<Option<Url>, NetError> {
    let redirects = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
    let location = headers
        .get(LOCATION)
        .map(|value| String::from_utf8_lossy(value.as_bytes()));
    let (true, Some(location)) = (redirects, location) else {
        return Ok(None);
    };
    match request.redirect {
        Redirect::Manual => Ok(None),
        Redirect::Error => Err(NetError::failed("the server redirects, which the options forbid")),
        Redirect::Follow => {
            let mut next = request.url.join(&location).map_err(|error| {
                NetError::failed(format!("the server redirects to what is not a URL: {error}"))
            })?;
            next.set_fragment(None);
            // Placeholders are the skill's to write: a server must not choose where a secret goes.
            if holds_placeholder(next.as_str().as_bytes()) {
                return Err(NetError::refused(
                    "the server redirects to an address with the placeholder of a secret",
                ));
            }
            Ok(Some(next))
        }
    }
}

/// The request to send next. On another origin it has no credentials, and none of the host's own headers.
pub(crate) fn follow(
    mut request: Request,
    status: StatusCode,
    next: Url,
    scanner: Option<&Scanner>,
) -> Result<Request, NetError> {
    let becomes_get = status == StatusCode::SEE_OTHER
        || (matches!(status, StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND)
            && request.method == Method::POST);
    if becomes_get && request.method != Method::HEAD {
        request.method = Method::GET;
        request.body = None;
        for name in [
            CONTENT_TYPE,
            HeaderName::from_static("content-language"),
            HeaderName::from_static("content-location"),
        ] {
            request.headers.remove(name);
        }
    }
    if next.origin() != request.url.origin() {
        let secret = |text: &[u8]| carries_secret(text, scanner);
        if request.body.as_deref().is_some_and(secret) {
            return Err(NetError::refused(
                "a request with a secret in its body was redirected to another origin",
            ));
        }
        let stripped: Vec<_> = request
            .headers
            .iter()
            .filter(|(name, value)| {
                let name = name.as_str();
                *name == AUTHORIZATION
                    || *name == COOKIE
                    || [
                        "api-key",
                        "apikey",
                        "token",
                        "secret",
                        "x-auth",
                        "x-encryption-key",
                    ]
                    .iter()
                    .any(|word| name.contains(word))
                    || secret(value.as_bytes())
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in stripped {
            request.headers.remove(name);
        }
        request.host_headers.clear();
    }
    request.url = next;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::SecretValue;
    use crate::net::placeholder::Reference;

    fn request() -> Request {
        let options = json!({"method": "POST", "body": "x", "headers": {"Authorization": "Bearer x", "X-Key": "{{secret:key}}",
            "X-Raw": "a leaked-value", "X-Api-Key": "k", "X-Other": "kept", "Cookie": "c"}});
        let mut request = Request::parse("https://api.example.com/a", &options).unwrap();
        let token = Arc::new(SecretValue::from("Bearer t"));
        request
            .host_headers
            .push((HeaderName::from_static("x-host"), token));
        request
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn a_hop_to_another_origin_loses_its_credentials() {
        let reference = Reference::Value("leaked".to_owned());
        let scanner = Scanner::new([(&reference, &b"leaked-value"[..])].into_iter()).unwrap();
        let same = follow(
            request(),
            StatusCode::TEMPORARY_REDIRECT,
            url("https://api.example.com/b"),
            Some(&scanner),
        )
        .unwrap();
        assert_eq!(
            (same.headers.len(), same.method, same.host_headers.len()),
            (6, Method::POST, 1)
        );
        for other in [
            "https://other.example.com/b",
            "http://api.example.com/b",
            "https://api.example.com:8443/b",
        ] {
            let hop = follow(request(), StatusCode::FOUND, url(other), Some(&scanner)).unwrap();
            assert_eq!(hop.headers.keys().collect::<Vec<_>>(), ["x-other"], "{other}");
            assert_eq!((hop.method, hop.body), (Method::GET, None));
            assert!(hop.host_headers.is_empty());
        }
        let mut with_secret = request();
        with_secret.body = Some("k={{secret:key}}".into());
        let hop = follow(
            with_secret,
            StatusCode::TEMPORARY_REDIRECT,
            url("https://other.example.com/"),
            None,
        );
        assert!(hop.is_err());
    }

    #[test]
    fn only_redirects_with_a_place_to_go_are_followed() {
        let mut headers = HeaderMap::new();
        let go = |request: &Request, status: u16, headers: &HeaderMap| {
            destination(request, StatusCode::from_u16(status).unwrap(), headers)
        };
        assert_eq!(go(&request(), 302, &headers), Ok(None));
        headers.insert(LOCATION, "../c?d#e".parse().unwrap());
        assert_eq!(
            go(&request(), 302, &headers),
            Ok(Some(url("https://api.example.com/c?d")))
        );
        for status in [200, 201, 300, 304, 305, 306, 404] {
            assert_eq!(go(&request(), status, &headers), Ok(None), "{status}");
        }
        let strict = |mode| Request {
            redirect: mode,
            ..request()
        };
        assert_eq!(go(&strict(Redirect::Manual), 302, &headers), Ok(None));
        assert!(go(&strict(Redirect::Error), 302, &headers).is_err());
        headers.insert(LOCATION, "https://".parse().unwrap());
        assert!(go(&request(), 302, &headers).is_err());
    }
}
