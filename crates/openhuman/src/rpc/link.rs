//! The methods `openhuman.socket_*` and `openhuman.auth_*`: the link to a backend, and logging in there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::params::{parse, parse_secret, to_json};
use super::{Dispatcher, RpcError};
use crate::login::LOGIN_MS;
use crate::{Core, Credential, LinkReport};

/// The methods answered here.
pub(super) const METHODS: [&str; 10] = [
    "openhuman.socket_connect",
    "openhuman.socket_disconnect",
    "openhuman.socket_report",
    "openhuman.auth_sessions",
    "openhuman.auth_logout",
    "openhuman.auth_login_start",
    "openhuman.auth_login_cancel",
    "openhuman.auth_login_finish",
    "openhuman.auth_oauth_connect",
    "openhuman.auth_oauth_finish",
];

/// The beginnings of the links that a browser hands over.
const LOGIN_LINK: &str = "openhuman://auth?";
const ACCOUNT_LINK: &str = "openhuman://oauth/";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectParams {
    url: String,
    /// Works once. Without a token the session that is kept from an earlier login is used.
    login_token: Option<String>,
    session_token: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackendParams {
    /// The address of the backend.
    url: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FinishParams {
    /// `openhuman://auth?token=..`
    link: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OAuthParams {
    skill_id: String,
    provider: String,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OAuthLinkParams {
    /// `openhuman://oauth/success?integrationId=..&skillId=..`
    link: String,
}

/// A login that was begun.
#[derive(Serialize, JsonSchema)]
pub(super) struct LoginStarted {
    /// What the login page has to be opened with.
    challenge: String,
    /// How long the link that comes back is taken, in milliseconds.
    valid_ms: i64,
}

/// The backends that need no new login.
#[derive(Serialize, JsonSchema)]
pub(super) struct KeptSessions {
    backends: Vec<String>,
}

/// The figures of the link, where there is one.
#[derive(Serialize, JsonSchema)]
pub(super) struct SocketFigures {
    link: Option<LinkReport>,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct LoggedOut {
    /// Whether a session was kept.
    was_logged_in: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct LoginCancelled {
    ok: bool,
}

/// Where the user connects an account.
#[derive(Serialize, JsonSchema)]
pub(super) struct OAuthStarted {
    /// To be opened in a browser.
    url: String,
}

impl Dispatcher {
    /// Answers one of [`METHODS`].
    pub(super) async fn link_call(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        let core = self.core().await?;
        match method {
            "openhuman.socket_connect" => connect(&core, parse_secret(params)?).await?,
            "openhuman.socket_disconnect" => {
                core.stay_connected(false).await?;
                core.disconnect().await;
            }
            "openhuman.socket_report" => {
                return to_json(&SocketFigures {
                    link: core.link_report().await,
                });
            }
            "openhuman.auth_sessions" => {
                return to_json(&KeptSessions {
                    backends: core.logged_in().await?,
                });
            }
            "openhuman.auth_logout" => {
                let params: BackendParams = parse(params)?;
                return to_json(&LoggedOut {
                    was_logged_in: core.log_out(&params.url).await?,
                });
            }
            "openhuman.auth_login_start" => {
                let params: BackendParams = parse(params)?;
                return to_json(&LoginStarted {
                    challenge: core.start_login(&params.url)?,
                    valid_ms: LOGIN_MS,
                });
            }
            "openhuman.auth_login_cancel" => {
                core.cancel_login();
                return to_json(&LoginCancelled { ok: true });
            }
            "openhuman.auth_login_finish" => {
                let params: FinishParams = parse_secret(params)?;
                finish_login(&core, &params.link).await?;
            }
            "openhuman.auth_oauth_connect" => {
                let params: OAuthParams = parse(params)?;
                let skill = core.skill(&params.skill_id)?;
                let url = core.start_account(&skill, &params.provider).await?;
                return to_json(&OAuthStarted { url });
            }
            "openhuman.auth_oauth_finish" => {
                let params: OAuthLinkParams = parse_secret(params)?;
                return Ok(core.finish_account(&params.link).await?);
            }
            other => return Err(RpcError::unknown_method(other)),
        }
        self.snapshot().await
    }

    /// Takes a link that the system hands over because somebody clicked on it, and publishes what became of it as
    /// `link.opened`: `{kind, ok, message?}`. Nothing is done that this device did not ask for. Other links than
    /// `openhuman://auth` and `openhuman://oauth` are not looked at.
    pub async fn open_link(&self, link: &str) {
        let link = link.trim();
        let (kind, outcome) = if link.starts_with(LOGIN_LINK) {
            let finished = async { finish_login(&self.core().await?, link).await };
            ("login", finished.await)
        } else if link.starts_with(ACCOUNT_LINK) {
            let finished = async {
                self.core().await?.finish_account(link).await?;
                Ok::<_, RpcError>(())
            };
            ("account", finished.await)
        } else {
            tracing::warn!("a link of another kind was not opened");
            return;
        };
        self.publish(match outcome {
            Ok(()) => json!({ "type": "link.opened", "kind": kind, "ok": true }),
            Err(error) => {
                json!({ "type": "link.opened", "kind": kind, "ok": false, "message": error.message })
            }
        });
    }
}

async fn finish_login(core: &Core, link: &str) -> Result<(), RpcError> {
    core.finish_login(link).await?;
    Ok(core.stay_connected(true).await?)
}

async fn connect(core: &Core, params: ConnectParams) -> Result<(), RpcError> {
    let credential = match (params.login_token, params.session_token) {
        (Some(token), None) => Credential::LoginToken(token),
        (None, Some(token)) => Credential::SessionToken(token),
        (None, None) => Credential::Kept,
        _ => return Err(RpcError::params("give either 'login_token' or 'session_token'")),
    };
    core.connect(&params.url, &credential).await?;
    Ok(core.stay_connected(true).await?)
}
