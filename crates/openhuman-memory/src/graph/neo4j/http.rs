//! The connection: one HTTP client, TLS by rustls with the ring provider.

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use reqwest::blocking::{Client, RequestBuilder};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::{Method, Url};
use rustls_platform_verifier::BuilderVerifierExt as _;
use serde_json::Value;

use super::wire::{self, Answer, Api, is_worth_retrying};
use crate::graph::error::GraphError;

/// The longest answer that is read: 64 MiB.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// On Aura the requests of one transaction must reach the same machine; it names itself in this header.
const AFFINITY: &str = "neo4j-cluster-affinity";

/// How to prove who asks. Not printed.
#[derive(Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Credentials {
    /// The server asks for nothing.
    #[default]
    None,
    /// A user name and a password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Bearer(String),
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Basic { .. } => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

/// How to reach a server.
#[derive(Clone)]
pub struct Neo4jOptions {
    /// Scheme, host and port, for example `http://localhost:7474`.
    pub url: String,
    /// The database. Default: `neo4j`.
    pub database: String,
    /// Sent with every request. Default: none.
    pub credentials: Credentials,
    /// Which interface to speak. Default: what the server offers, the Query API first.
    pub api: Option<Api>,
    /// For one request. Default: 30 seconds.
    pub timeout: Duration,
    /// How often a transaction is made again after a transient error. Default: 4.
    pub retries: u32,
    /// Waits before the given attempt, counted from 1. Default: sleeps 0.1 s, doubled each time up to 5 s, or as
    /// long as the server asks, up to 30 s.
    pub pause: Arc<dyn Fn(u32, Option<Duration>) + Send + Sync>,
}

impl Neo4jOptions {
    /// The defaults for a server.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            database: "neo4j".to_owned(),
            credentials: Credentials::None,
            api: None,
            timeout: Duration::from_secs(30),
            retries: 4,
            pause: Arc::new(|attempt, asked| {
                let own = Duration::from_millis(100 * (1 << attempt.saturating_sub(1).min(6)))
                    .min(Duration::from_secs(5));
                std::thread::sleep(asked.map_or(own, |asked| asked.min(Duration::from_secs(30))));
            }),
        }
    }
}

impl fmt::Debug for Neo4jOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Neo4jOptions")
            .field("url", &self.url)
            .field("database", &self.database)
            .field("credentials", &self.credentials)
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}

/// A failure, and how long the server wants to be left alone.
pub(super) struct Failed {
    pub(super) error: GraphError,
    retry_after: Option<Duration>,
}

impl From<GraphError> for Failed {
    fn from(error: GraphError) -> Self {
        Self {
            error,
            retry_after: None,
        }
    }
}

pub(super) struct Server {
    client: Client,
    base: Url,
    options: Neo4jOptions,
    pub(super) api: Api,
}

impl Server {
    /// Prepares the client and asks the server what it offers, unless that is given.
    pub(super) fn connect(options: Neo4jOptions) -> Result<Self, GraphError> {
        let wrong = |reason: String| GraphError::Config { reason };
        let base = Url::parse(options.url.trim()).map_err(|error| {
            wrong(format!(
                "{:?} is not an address ({error}); write http://HOST:7474",
                options.url
            ))
        })?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none() {
            return Err(wrong(format!("{base} is not http:// or https:// with a host")));
        }
        let name = &options.database;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(is_plain) {
            return Err(wrong(format!(
                "{name:?} is no name of a database; use letters, digits, dots and dashes"
            )));
        }
        let client = client(&base, options.timeout)?;
        let mut server = Self {
            client,
            base,
            options,
            api: Api::Query,
        };
        server.api = match server.options.api {
            Some(api) => api,
            None => server.discover()?,
        };
        Ok(server)
    }

    fn discover(&self) -> Result<Api, GraphError> {
        self.again(|| {
            let (status, body, retry_after, _) = self.send(Method::GET, "/", None, None)?;
            if !(200..300).contains(&status) {
                let error = wire::read(Api::Query, status, &body).err();
                let error = error.unwrap_or_else(|| wire::malformed("no discovery document".to_owned()));
                return Err(Failed { error, retry_after });
            }
            let offered = wire::discovered(&body)?;
            offered
                .first()
                .copied()
                .ok_or_else(|| wire::malformed("nothing is offered".to_owned()).into())
        })
    }

    /// Runs one statement that is a transaction by itself.
    pub(super) fn run(
        &self,
        statement: &str,
        parameters: &Value,
        read: bool,
    ) -> Result<Vec<Vec<Value>>, GraphError> {
        let path = self.api.single(&self.options.database);
        let body = self.api.body(statement, parameters, Some(read));
        self.again(|| Ok(self.post(&path, &body, None)?.0.rows))
    }

    /// Makes a transaction, again from its beginning after a transient error. What `work` does must not have
    /// effects elsewhere.
    pub(super) fn transaction<T>(
        &self,
        work: impl Fn(&mut Transaction<'_>) -> Result<T, Failed>,
    ) -> Result<T, GraphError> {
        self.again(|| {
            let mut transaction = Transaction {
                server: self,
                id: None,
                affinity: None,
            };
            let done = work(&mut transaction)?;
            transaction.commit()?;
            Ok(done)
        })
    }

    fn again<T>(&self, attempt: impl Fn() -> Result<T, Failed>) -> Result<T, GraphError> {
        let mut made = 0;
        loop {
            match attempt() {
                Ok(value) => return Ok(value),
                Err(failed) if made < self.options.retries && is_worth_retrying(&failed.error) => {
                    made += 1;
                    tracing::debug!(error = %failed.error, attempt = made, "the graph server is asked again");
                    (self.options.pause)(made, failed.retry_after);
                }
                Err(failed) => return Err(failed.error),
            }
        }
    }

    fn post(
        &self,
        path: &str,
        body: &Value,
        affinity: Option<&HeaderValue>,
    ) -> Result<(Answer, Option<HeaderValue>), Failed> {
        let (status, body, retry_after, affinity) = self.send(Method::POST, path, Some(body), affinity)?;
        match wire::read(self.api, status, &body) {
            Ok(answer) => Ok((answer, affinity)),
            Err(error) => Err(Failed { error, retry_after }),
        }
    }

    #[expect(
        clippy::type_complexity,
        reason = "the parts of an HTTP answer, taken apart at once"
    )]
    fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        affinity: Option<&HeaderValue>,
    ) -> Result<(u16, Vec<u8>, Option<Duration>, Option<HeaderValue>), GraphError> {
        let url = self.base.join(path).map_err(|error| GraphError::Config {
            reason: error.to_string(),
        })?;
        let mut request = self.authorised(self.client.request(method, url));
        request = request.header(ACCEPT, "application/json");
        if let Some(body) = body {
            let bytes = serde_json::to_vec(body).map_err(|error| wire::malformed(error.to_string()))?;
            request = request.header(CONTENT_TYPE, "application/json").body(bytes);
        }
        if let Some(affinity) = affinity {
            request = request.header(AFFINITY, affinity);
        }
        let response = request.send().map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        if status == 401 || status == 403 {
            return Err(GraphError::Unauthorised { server: self.name() });
        }
        let header = |name: &str| response.headers().get(name).cloned();
        let seconds = header(RETRY_AFTER.as_str()).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let affinity = header(AFFINITY);
        let mut bytes = Vec::new();
        response
            .take(MAX_ANSWER + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| self.unreachable(&error))?;
        if bytes.len() as u64 > MAX_ANSWER {
            return Err(wire::malformed(format!("more than {MAX_ANSWER} bytes")));
        }
        Ok((status, bytes, seconds.map(Duration::from_secs), affinity))
    }

    fn authorised(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.options.credentials {
            Credentials::None => request,
            Credentials::Basic { user, password } => request.basic_auth(user, Some(password)),
            Credentials::Bearer(token) => request.bearer_auth(token),
        }
    }

    fn unreachable(&self, error: &dyn std::error::Error) -> GraphError {
        // reqwest's own text ends before the reason.
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            reason = format!("{reason}: {inner}");
            source = inner.source();
        }
        GraphError::Unreachable {
            server: self.name(),
            reason,
        }
    }

    fn name(&self) -> String {
        let mut url = self.base.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.to_string().trim_end_matches('/').to_owned()
    }
}

/// A transaction at the server. Dropped without a commit, it is rolled back.
pub(super) struct Transaction<'a> {
    server: &'a Server,
    id: Option<String>,
    affinity: Option<HeaderValue>,
}

impl Transaction<'_> {
    /// Runs a statement; the first one begins the transaction.
    pub(super) fn run(&mut self, statement: &str, parameters: &Value) -> Result<Vec<Vec<Value>>, Failed> {
        let api = self.server.api;
        let database = &self.server.options.database;
        let path = match &self.id {
            Some(id) => api.within(database, id),
            None => api.begin(database),
        };
        let body = api.body(statement, parameters, None);
        let (answer, affinity) = self.server.post(&path, &body, self.affinity.as_ref())?;
        if self.id.is_none() {
            let id = answer.transaction;
            self.id =
                Some(id.ok_or_else(|| wire::malformed("a transaction without an identifier".to_owned()))?);
            self.affinity = affinity;
        }
        Ok(answer.rows)
    }

    fn commit(mut self) -> Result<(), Failed> {
        if let Some(id) = self.id.clone() {
            let path = format!(
                "{}/commit",
                self.server.api.within(&self.server.options.database, &id)
            );
            self.server
                .post(&path, &self.server.api.empty(), self.affinity.as_ref())?;
            self.id = None;
        }
        Ok(())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if let Some(id) = &self.id {
            // After an error the server has rolled it back by itself; otherwise it would keep its locks for a while.
            let path = self.server.api.within(&self.server.options.database, id);
            let _ = self
                .server
                .send(Method::DELETE, &path, None, self.affinity.as_ref());
        }
    }
}

fn client(base: &Url, timeout: Duration) -> Result<Client, GraphError> {
    let wrong = |reason: String| GraphError::Config { reason };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(format!("TLS could not be prepared: {error}")))?;
    let tls = if base.scheme() == "https" {
        let verified = builder.with_platform_verifier();
        verified.map_err(|error| wrong(format!("no trusted certificates on this machine: {error}")))?
    } else {
        builder.with_root_certificates(rustls::RootCertStore::empty())
    };
    let mut builder = Client::builder()
        .tls_backend_preconfigured(tls.with_no_client_auth())
        .timeout(timeout)
        .redirect(reqwest::redirect::Policy::none());
    let host = base.host_str().unwrap_or_default().trim_matches(['[', ']']);
    if host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()) {
        builder = builder.no_proxy();
    }
    builder
        .build()
        .map_err(|error| wrong(format!("the HTTP client could not be prepared: {error}")))
}
