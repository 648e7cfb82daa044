//! The methods `openhuman.socket_*` and `openhuman.auth_*`: the link to a backend, and logging in there.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::params::{parse, parse_secret, to_json};
use super::{Dispatcher, RpcError};
use crate::login::LOGIN_MS;
use crate::{Core, Credential};

/// The methods answered here.
pub(super) const METHODS: [&str; 7] = [
    "openhuman.socket_connect",
    "openhuman.socket_disconnect",
    "openhuman.auth_login_start",
    "openhuman.auth_login_cancel",
    "openhuman.auth_login_finish",
    "openhuman.auth_oauth_connect",
    "openhuman.auth_oauth_finish",
];

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ConnectParams {
    url: String,
    login_token: Option<String>,
    session_token: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FinishParams {
    /// The backend.
    url: String,
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
            "openhuman.socket_disconnect" => core.disconnect().await,
            "openhuman.auth_login_start" => {
                return to_json(&LoginStarted {
                    challenge: core.start_login()?,
                    valid_ms: LOGIN_MS,
                });
            }
            "openhuman.auth_login_cancel" => {
                core.cancel_login();
                return to_json(&LoginCancelled { ok: true });
            }
            "openhuman.auth_login_finish" => {
                let params: FinishParams = parse_secret(params)?;
                core.connect_with_link(&params.url, &params.link).await?;
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
}

async fn connect(core: &Core, params: ConnectParams) -> Result<(), RpcError> {
    let credential = match (params.login_token, params.session_token) {
        (Some(token), None) => Credential::LoginToken(token),
        (None, Some(token)) => Credential::SessionToken(token),
        _ => return Err(RpcError::params("give either 'login_token' or 'session_token'")),
    };
    core.connect(&params.url, &credential).await?;
    Ok(())
}
