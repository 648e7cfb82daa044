//! What a skill sees of a credential: the same JSON with `{{secret:ID}}` in place of every secret text.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Keys whose text says nothing worth stealing, and which skills read. Everything else is taken for a secret.
const PUBLIC: [&str; 36] = [
    "credentialid",
    "integrationid",
    "mode",
    "type",
    "token_type",
    "tokentype",
    "provider",
    "scope",
    "scopes",
    "email",
    "account",
    "account_email",
    "accountlabel",
    "account_label",
    "user",
    "username",
    "client_email",
    "project_id",
    "auth_uri",
    "token_uri",
    "redirect_uri",
    "redirect_uris",
    "auth_provider_x509_cert_url",
    "client_x509_cert_url",
    "universe_domain",
    "url",
    "base_url",
    "baseurl",
    "host",
    "region",
    "workspace",
    "workspace_name",
    "expiry",
    "expiry_date",
    "expires_at",
    "created_at",
];

/// The fields of a managed credential that a skill may see as they are.
const OAUTH_FIELDS: [&str; 7] = [
    "credentialId",
    "provider",
    "scopes",
    "grantedScopes",
    "isValid",
    "createdAt",
    "accountLabel",
];

/// The secret texts by the name in their placeholder.
pub(super) type SecretTexts = BTreeMap<String, String>;

/// The placeholder for a handle.
pub(super) fn placeholder(handle: &str) -> String {
    format!("{{{{secret:{handle}}}}}")
}

/// What a skill sees of a managed connection.
pub(super) fn oauth_view(raw: &Value, secrets: &mut SecretTexts) -> Value {
    let mut view = Map::new();
    for field in OAUTH_FIELDS {
        if let Some(value) = raw.get(field) {
            view.insert(field.to_owned(), value.clone());
        }
    }
    if let Some(token) = raw.get("accessToken").and_then(Value::as_str) {
        view.insert(
            "accessToken".to_owned(),
            Value::from(seal("oauth.accessToken", token, secrets)),
        );
    }
    Value::Object(view)
}

/// What a skill sees of what the user entered.
pub(super) fn auth_view(raw: &Value, secrets: &mut SecretTexts) -> Value {
    let mut view = Map::new();
    view.insert("mode".to_owned(), raw.get("mode").cloned().unwrap_or(Value::Null));
    let credentials = raw.get("credentials").cloned().unwrap_or(Value::Null);
    view.insert(
        "credentials".to_owned(),
        sealed("auth", "", &credentials, secrets, 0),
    );
    Value::Object(view)
}

fn sealed(path: &str, key: &str, value: &Value, secrets: &mut SecretTexts, depth: usize) -> Value {
    if depth > 16 {
        return Value::Null;
    }
    match value {
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| {
                let path = format!("{path}.{}", plain(key));
                (key.clone(), sealed(&path, key, value, secrets, depth + 1))
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => {
            let items = items.iter().enumerate().map(|(index, item)| {
                // The items of a public list, such as scopes, are public.
                sealed(&format!("{path}.{index}"), key, item, secrets, depth + 1)
            });
            Value::Array(items.collect())
        }
        Value::String(text) => Value::from(sealed_text(path, key, text, secrets, depth)),
        other => other.clone(),
    }
}

fn sealed_text(path: &str, key: &str, text: &str, secrets: &mut SecretTexts, depth: usize) -> String {
    // A skill tells by an empty text that nothing was entered.
    if text.trim().is_empty() || PUBLIC.contains(&key.to_ascii_lowercase().as_str()) {
        return text.to_owned();
    }
    // A pasted JSON document stays one, because skills parse it.
    match serde_json::from_str::<Value>(text) {
        Ok(inner @ (Value::Object(_) | Value::Array(_))) => {
            sealed(path, key, &inner, secrets, depth + 1).to_string()
        }
        _ => seal(path, text, secrets),
    }
}

/// Remembers a secret text and returns its placeholder.
fn seal(path: &str, text: &str, secrets: &mut SecretTexts) -> String {
    // Handles are plain ASCII, so this cuts between characters.
    let path = path.get(..100).unwrap_or(path);
    let mut handle = path.to_owned();
    let mut number = 2;
    while secrets.get(&handle).is_some_and(|known| known != text) {
        handle = format!("{path}-{number}");
        number += 1;
    }
    secrets.insert(handle.clone(), text.to_owned());
    placeholder(&handle)
}

/// A key as part of a handle.
fn plain(key: &str) -> String {
    key.chars()
        .take(64)
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_text_but_the_harmless_becomes_a_placeholder() {
        let mut secrets = SecretTexts::new();
        let view = auth_view(
            &json!({"mode": "self_hosted", "credentials": {"client_id": "i", "client_secret": "s", "email": "a@b.c",
                "empty": "", "days": 3, "scopes": ["read"], "odd}}key": "x", "odd__key": "y"}, "extra": "raw"}),
            &mut secrets,
        );
        assert_eq!(
            view,
            json!({"mode": "self_hosted", "credentials": {"client_id": "{{secret:auth.client_id}}",
                "client_secret": "{{secret:auth.client_secret}}", "email": "a@b.c", "empty": "", "days": 3, "scopes": ["read"],
                "odd__key": "{{secret:auth.odd__key}}", "odd}}key": "{{secret:auth.odd__key-2}}"}})
        );
        assert_eq!(secrets.len(), 4);
        assert_eq!(secrets["auth.client_secret"], "s");
    }

    #[test]
    fn a_pasted_document_stays_json() {
        let mut secrets = SecretTexts::new();
        let content = json!({"access_token": "a1", "nested": {"refresh_token": "r1"}, "token_type": "Bearer", "expires_in": 3599});
        let view = auth_view(
            &json!({"mode": "text", "credentials": {"content": content.to_string()}}),
            &mut secrets,
        );
        let seen: Value = serde_json::from_str(view["credentials"]["content"].as_str().unwrap()).unwrap();
        assert_eq!(
            seen,
            json!({"access_token": "{{secret:auth.content.access_token}}", "token_type": "Bearer", "expires_in": 3599,
                "nested": {"refresh_token": "{{secret:auth.content.nested.refresh_token}}"}})
        );
        let view = auth_view(
            &json!({"mode": "text", "credentials": {"content": "plain token"}}),
            &mut secrets,
        );
        assert_eq!(view["credentials"]["content"], "{{secret:auth.content}}");
        assert_eq!(secrets["auth.content"], "plain token");
    }

    #[test]
    fn a_managed_credential_shows_only_what_the_contract_names() {
        let mut secrets = SecretTexts::new();
        let view = oauth_view(
            &json!({"credentialId": "c", "provider": "p", "scopes": [], "isValid": true, "createdAt": "t",
                "accessToken": "raw", "clientKey": "k"}),
            &mut secrets,
        );
        assert_eq!(
            view,
            json!({"credentialId": "c", "provider": "p", "scopes": [], "isValid": true, "createdAt": "t",
                "accessToken": "{{secret:oauth.accessToken}}"})
        );
        assert_eq!(secrets.len(), 1);
    }
}
