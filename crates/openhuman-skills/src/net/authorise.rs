//! Second stage: whether a request may leave, and how.

use std::net::IpAddr;

use url::{Host, Url};

use super::address::is_public;
use super::error::NetError;
use super::request::{Request, host_name};
use crate::{Destination, Grant, PermissionKind};

/// A request that may leave, if its host resolves to addresses that fit the route. Only made here.
#[derive(Debug)]
pub(crate) struct Authorised {
    request: Request,
    route: Route,
    to: Destination,
}

/// How an allowed request is connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Only to public addresses; the rule may name the only secret this host may get.
    Public { secret: Option<String> },
    /// To whatever the explicitly granted host resolves to.
    Private,
}

impl Authorised {
    pub(crate) fn into_parts(self) -> (Request, Route, Destination) {
        (self.request, self.route, self.to)
    }

    pub(crate) fn to(&self) -> &Destination {
        &self.to
    }
}

/// Decides about a request. `asked` is what the manifest asks for; it allows nothing and only tells which refusal
/// it is.
pub(crate) fn authorise(request: Request, grant: &Grant, asked: &Grant) -> Result<Authorised, NetError> {
    let secure = match request.url.scheme() {
        "https" => true,
        "http" => false,
        other => {
            return Err(NetError::invalid(format!(
                "`{other}:` addresses cannot be requested; use https"
            )));
        }
    };
    let to = target(&request.url)?;
    let rule_in = |rules: &Grant| {
        let mut rules = rules.hosts.iter();
        let (method, host, port) = (request.method.as_str(), to.host(), to.port());
        rules
            .find(|rule| rule.allows(method, secure, host, port))
            .cloned()
    };
    let wish = || match (secure, to.port()) {
        (true, 443) => to.host().to_owned(),
        _ => to.to_string(),
    };
    let route = match private_route(&request.url, grant, &to)? {
        Some(route) => route,
        None => match rule_in(grant) {
            Some(rule) => Route::Public {
                secret: rule.secret_handle().map(str::to_owned),
            },
            None if rule_in(asked).is_some() => {
                let host = to.host();
                return Err(NetError::wanting(
                    PermissionKind::Host,
                    wish(),
                    format!("{host} is asked for by the manifest but was not allowed; allow the skill first"),
                ));
            }
            None => {
                return Err(NetError::wanting(
                    PermissionKind::Host,
                    wish(),
                    format!(
                        "{} {}://{to} is not asked for in the manifest; its author can add it to permissions.net, or its user allow the host",
                        request.method,
                        request.url.scheme()
                    ),
                ));
            }
        },
    };
    Ok(Authorised { request, route, to })
}

/// Decides about a WebSocket.
pub(crate) fn authorise_socket(request: Request, grant: &Grant) -> Result<Authorised, NetError> {
    let secure = match request.url.scheme() {
        "https" => true,
        "http" => false,
        other => {
            return Err(NetError::invalid(format!(
                "`{other}:` is not a WebSocket address; use wss:"
            )));
        }
    };
    let to = target(&request.url)?;
    let route = match private_route(&request.url, grant, &to)? {
        Some(route) => route,
        None if secure
            && grant
                .websocket
                .iter()
                .any(|rule| rule.allows(to.host(), to.port())) =>
        {
            Route::Public { secret: None }
        }
        None => {
            let scheme = if secure { "wss" } else { "ws" };
            let what = if secure {
                "not allowed"
            } else {
                "not encrypted, and not a granted private host"
            };
            return Err(NetError::wanting(
                PermissionKind::Websocket,
                to.to_string(),
                format!(
                    "{scheme}://{to} is {what}; ask for the host in the manifest's permissions.websocket"
                ),
            ));
        }
    };
    Ok(Authorised { request, route, to })
}

/// The host and port of an address that may be requested at all.
fn target(url: &Url) -> Result<Destination, NetError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(NetError::invalid(
            "a URL must not hold a user name or password; use a header",
        ));
    }
    let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
        return Err(NetError::invalid("the URL has no host"));
    };
    let to = Destination::new(&host_name(&host), port);
    if to.host().is_empty() || port == 0 {
        return Err(NetError::invalid(format!("`{host}:{port}` is no host and port")));
    }
    Ok(to)
}

/// The route of an explicitly granted host and port; an error for what is private and not granted.
fn private_route(url: &Url, grant: &Grant, to: &Destination) -> Result<Option<Route>, NetError> {
    if grant.private.contains(&(to.host().to_owned(), to.port())) {
        return Ok(Some(Route::Private));
    }
    let private = match url.host() {
        Some(Host::Ipv4(address)) => !is_public(IpAddr::V4(address)),
        Some(Host::Ipv6(address)) => !is_public(IpAddr::V6(address)),
        // Names of the machine itself by definition (RFC 6761); what others resolve to is checked when they do.
        Some(Host::Domain(_)) => to.host() == "localhost" || to.host().ends_with(".localhost"),
        None => true,
    };
    if private {
        return Err(NetError::wanting(
            PermissionKind::PrivateHost,
            to.to_string(),
            format!("{to} is a private address; it needs an explicit grant of this host and port"),
        ));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::net::error::NetErrorKind;
    use crate::{HostRule, Permission};

    fn decide(grant: &Grant, asked: &Grant, method: &str, url: &str) -> Result<Route, NetError> {
        let request = Request::parse(url, &json!({"method": method}))?;
        authorise(request, grant, asked).map(|authorised| authorised.route)
    }

    #[test]
    fn only_granted_public_hosts_are_reached() {
        let mut grant = Grant::none();
        grant
            .allow_host("*")
            .allow_private("127.0.0.1", 8080)
            .allow_private("::1", 9000)
            .allow_private("db.internal", 80);
        let decide = |url: &str| decide(&grant, &Grant::none(), "GET", url);
        assert_eq!(
            decide("https://api.example.com/"),
            Ok(Route::Public { secret: None })
        );
        for private in [
            "http://127.0.0.1:8080/",
            "https://127.0.0.1:8080/",
            "http://[::1]:9000/",
            "http://DB.internal/",
            "http://0x7f.1:8080/",
        ] {
            assert_eq!(decide(private), Ok(Route::Private), "{private}");
        }
        for refused in [
            "http://api.example.com/",
            "https://127.0.0.1:8081/",
            "https://user:pass@api.example.com/",
        ] {
            assert!(decide(refused).is_err(), "{refused}");
        }
        let error = super::authorise(
            Request::parse("https://api.example.com/", &Value::Null).unwrap(),
            &Grant::none(),
            &grant,
        );
        assert!(error.is_err(), "what is asked for is not allowed by that");
    }

    #[test]
    fn a_refusal_says_what_is_missing() {
        let mut asked = Grant::none();
        asked.allow_host(HostRule::new("example.com").methods(["GET"]));
        asked.allow_host(HostRule::new("127.0.0.1").http().ports([8080]));
        let refused =
            |grant: &Grant, method: &str, url: &str| decide(grant, &asked, method, url).unwrap_err();
        let none = Grant::none();
        let error = refused(&none, "GET", "https://example.com/x");
        assert_eq!(
            error.message,
            "example.com is asked for by the manifest but was not allowed; allow the skill first"
        );
        let wish = Permission::new(PermissionKind::Host, "example.com");
        assert_eq!(error.kind, NetErrorKind::Refused(Some(wish)));
        assert_eq!(
            refused(&none, "POST", "https://example.com/x").message,
            "POST https://example.com:443 is not asked for in the manifest; its author can add it to permissions.net, or its user allow the host"
        );
        for grant in [&none, &asked] {
            let error = refused(grant, "GET", "http://127.0.0.1:8080/");
            assert_eq!(
                error.message,
                "127.0.0.1:8080 is a private address; it needs an explicit grant of this host and port"
            );
        }
        assert_eq!(
            refused(&none, "GET", "https://[::1]:9/").message,
            "[::1]:9 is a private address; it needs an explicit grant of this host and port"
        );
    }

    #[test]
    fn sockets_have_rules_of_their_own() {
        let mut grant = Grant::none();
        grant
            .allow_host("*")
            .allow_websocket("live.example.com")
            .allow_private("127.0.0.1", 9000);
        let decide = |url: &str| {
            let request = Request::parse(url, &Value::Null)?;
            authorise_socket(request, &grant).map(|authorised| authorised.route)
        };
        assert_eq!(
            decide("https://live.example.com/x"),
            Ok(Route::Public { secret: None })
        );
        assert_eq!(decide("http://127.0.0.1:9000/"), Ok(Route::Private));
        for url in [
            "http://live.example.com/",
            "https://api.example.com/",
            "https://127.0.0.1/",
            "https://live.example.com:8443/",
        ] {
            assert!(decide(url).is_err(), "{url}");
        }
    }
}
