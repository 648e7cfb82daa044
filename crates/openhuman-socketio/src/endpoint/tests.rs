use super::*;

fn endpoint(url: &str) -> Result<Endpoint, ConnectError> {
    Endpoint::new(&Address::of(url))
}

fn uri(endpoint: &Endpoint) -> String {
    endpoint.request(None, None).unwrap().uri().to_string()
}

#[test]
fn the_request_is_built_from_the_base_url() {
    for (url, uri) in [
        ("http://h", "ws://h/socket.io/?EIO=4&transport=websocket"),
        (
            "https://h:8443/",
            "wss://h:8443/socket.io/?EIO=4&transport=websocket",
        ),
        (
            "https://h/api/",
            "wss://h/api/socket.io/?EIO=4&transport=websocket",
        ),
        (
            "ws://h?a=1&b=x%20y#frag",
            "ws://h/socket.io/?EIO=4&transport=websocket&a=1&b=x%20y",
        ),
        (
            "http://[::1]:80",
            "ws://[::1]/socket.io/?EIO=4&transport=websocket",
        ),
    ] {
        assert_eq!(self::uri(&endpoint(url).unwrap()), uri);
    }
    let endpoint = endpoint("wss://[::1]").unwrap();
    assert_eq!((endpoint.host.as_str(), endpoint.port), ("::1", 443));
    assert_eq!(endpoint.authority, "[::1]");
    assert!(
        endpoint
            .target("polling", Some("a b"))
            .contains("&transport=polling&sid=a%20b")
    );
}

#[test]
fn the_path_can_be_changed() {
    let given = |path, trailing_slash| {
        let address = Address {
            path,
            trailing_slash,
            ..Address::of("http://h")
        };
        Endpoint::new(&address).unwrap().path
    };
    let path = |path| given(path, true);
    assert_eq!(path("/custom"), "/custom/");
    assert_eq!(path("a/b/"), "/a/b/");
    assert_eq!(path("/"), "/");
    assert_eq!(path("/with space"), "/with%20space/");
    assert_eq!(given("/custom", false), "/custom");
    assert_eq!(given("/custom/", false), "/custom");
    assert_eq!(given("/", false), "/");
}

#[test]
fn a_query_in_the_namespace_moves_to_the_handshake() {
    let (namespace, query) = split_namespace("/admin?x=1&y=\u{e9}", &Limits::default()).unwrap();
    assert_eq!(namespace, "/admin");
    let queries = [query.unwrap()];
    let address = Address {
        queries: &queries,
        ..Address::of("http://h?a=1")
    };
    let endpoint = Endpoint::new(&address).unwrap();
    assert!(uri(&endpoint).ends_with("websocket&a=1&x=1&y=%C3%A9"));
}

#[test]
fn bad_addresses_are_refused_without_repeating_secrets() {
    let failed = |url: &str| endpoint(url).unwrap_err().to_string();
    assert!(failed("ftp://h").contains("ftp"));
    assert!(failed("not a url?token=s3cret").contains("not a url"));
    assert!(!failed("not a url?token=s3cret").contains("s3cret"));
    assert!(!failed("https://user:s3cret@h").contains("s3cret"));
    assert!(!failed("https://user:s3cret@not a host").contains("s3cret"));
    for url in [
        "http://",
        "http://h:0",
        "http://h:70000",
        "http://h:x",
        "http://b\u{fc}cher",
        "http:// h",
        "http://[::1",
    ] {
        assert!(endpoint(url).is_err(), "{url:?}");
    }
    let namespace = |name: &str| split_namespace(name, &Limits::default()).is_ok();
    for name in ["admin", "/a,b", "", "/a\n"] {
        assert!(!namespace(name), "{name:?}");
    }
    assert!(namespace(&format!("/{}", "x".repeat(255))));
    assert!(!namespace(&format!("/{}", "x".repeat(256))));
}

#[test]
fn headers_are_checked_and_never_shown() {
    let with = |name: &str, value: &str| {
        let headers = [(name.to_owned(), value.to_owned())];
        Endpoint::new(&Address {
            headers: &headers,
            ..Address::of("http://h")
        })
    };
    let endpoint = with("authorization", "Bearer s3cret").unwrap();
    assert_eq!(
        endpoint.request(None, None).unwrap().headers()["authorization"],
        "Bearer s3cret"
    );
    assert!(!format!("{endpoint:?}").contains("s3cret"));
    for (name, value) in [
        ("Host", "other"),
        ("bad name", "x"),
        ("x", "a\nb"),
        ("Upgrade", "h2c"),
    ] {
        let error = with(name, value).unwrap_err();
        assert!(matches!(error, ConnectError::InvalidHeader { .. }));
    }
}

/// The cases of the official clients about addresses. `tests/SUITES.md` is their table. The clients there also take an
/// object with a host and a port; here both are in the URL.
#[test]
fn the_official_cases() {
    for (title, url, secure, host, port, authority) in [
        (
            "should properly parse http uri without port",
            "http://localhost",
            false,
            "localhost",
            80,
            "localhost",
        ),
        (
            "should properly parse https uri without port",
            "https://localhost",
            true,
            "localhost",
            443,
            "localhost",
        ),
        (
            "should properly parse wss uri without port",
            "wss://localhost",
            true,
            "localhost",
            443,
            "localhost",
        ),
        (
            "should properly parse wss uri with port",
            "wss://localhost:2020",
            true,
            "localhost",
            2020,
            "localhost:2020",
        ),
        (
            "should properly parse a host without port",
            "http://localhost/",
            false,
            "localhost",
            80,
            "localhost",
        ),
        (
            "should properly parse a host with port",
            "http://localhost:8080",
            false,
            "localhost",
            8080,
            "localhost:8080",
        ),
        (
            "should properly parse an IPv6 uri without port",
            "http://[::1]",
            false,
            "::1",
            80,
            "[::1]",
        ),
        (
            "should properly parse an IPv6 uri with port",
            "http://[::1]:8080",
            false,
            "::1",
            8080,
            "[::1]:8080",
        ),
        (
            "should properly parse an IPv6 host without port (1/2)",
            "ws://[::1]",
            false,
            "::1",
            80,
            "[::1]",
        ),
        (
            "should properly parse an IPv6 host without port (2/2)",
            "https://[::1]",
            true,
            "::1",
            443,
            "[::1]",
        ),
        (
            "should properly parse an IPv6 host with port",
            "ws://[::1]:8080",
            false,
            "::1",
            8080,
            "[::1]:8080",
        ),
        (
            "should generate an http uri w/o a port",
            "http://localhost:80",
            false,
            "localhost",
            80,
            "localhost",
        ),
        (
            "should generate an https uri w/o a port",
            "https://localhost:443",
            true,
            "localhost",
            443,
            "localhost",
        ),
        (
            "should generate an https uri w/o a port (string)",
            "https://localhost:443/",
            true,
            "localhost",
            443,
            "localhost",
        ),
        (
            "should generate an https uri with a port",
            "https://localhost:8443",
            true,
            "localhost",
            8443,
            "localhost:8443",
        ),
        (
            "should generate an ipv6 uri",
            "http://[::1]:80",
            false,
            "::1",
            80,
            "[::1]",
        ),
        (
            "should generate an ipv6 uri with port",
            "http://[::1]:8080",
            false,
            "::1",
            8080,
            "[::1]:8080",
        ),
        ("works with ipv6", "http://[::1]", false, "::1", 80, "[::1]"),
    ] {
        let endpoint = endpoint(url).unwrap();
        let seen = (
            endpoint.secure,
            endpoint.host.as_str(),
            endpoint.port,
            endpoint.authority.as_str(),
        );
        assert_eq!(seen, (secure, host, port, authority), "{title}");
    }

    let _title = "should properly parse an IPv6 host without brace";
    // In a URL it has to have them: 1 could be the port.
    assert!(endpoint("http://::1").is_err());

    for (title, url, request) in [
        (
            "should generate a wss uri",
            "wss://test",
            "wss://test/socket.io/?EIO=4&transport=websocket",
        ),
        (
            "should generate a ws ipv6 uri",
            "ws://[::1]:80",
            "ws://[::1]/socket.io/?EIO=4&transport=websocket",
        ),
        (
            "should generate a ws ipv6 uri with port",
            "ws://[::1]:8080",
            "ws://[::1]:8080/socket.io/?EIO=4&transport=websocket",
        ),
        (
            "should parse an uri",
            "https://www.google.com:80/foo/bar?foo=bar",
            "wss://www.google.com:80/foo/bar/socket.io/?EIO=4&transport=websocket&foo=bar",
        ),
    ] {
        assert_eq!(uri(&endpoint(url).unwrap()), request, "{title}");
    }
    let _title = "should parse an uri";
    for url in [
        "google.com:8080/foo",
        "2001::7334:a:80",
        "/foo?bar=@example.com",
        "ws://foo:bar@google.com",
    ] {
        assert!(endpoint(url).is_err(), "{url}");
    }

    let _title = "should generate an http uri";
    let polling = endpoint("http://localhost")
        .unwrap()
        .target("polling", Some("test"));
    assert_eq!(polling, "/socket.io/?EIO=4&transport=polling&sid=test");

    let _title = "forces ports for unique url ids";
    let same = |a: &str, b: &str| endpoint(a).unwrap().authority == endpoint(b).unwrap().authority;
    assert!(same("http://google.com:80/", "http://google.com/"));
    assert!(!same("http://google.com:443/", "http://google.com/"));

    for (title, path, target) in [
        // The URL's path is a prefix here, and the namespace is a setting of its own.
        ("identifies the namespace", "/socket.io/", "/woot/socket.io/?"),
        ("works with a custom path", "/some-path", "/woot/some-path/?"),
    ] {
        let address = Address {
            path,
            ..Address::of("https://woot.com/woot")
        };
        let built = Endpoint::new(&address).unwrap().target("polling", None);
        assert!(built.starts_with(target), "{title}: {built}");
    }
}
