//! Error answers of model servers, in all their forms.

use serde_json::Value;

/// The longest server text that goes into an error.
const MAX_MESSAGE_CHARS: usize = 500;

/// What an error answer says.
pub(crate) struct ServerError {
    pub(crate) message: String,
    pub(crate) code: Option<String>,
}

/// Reads an error body: the OpenAI form, the forms other servers use, or plain text.
pub(crate) fn server_error(body: &[u8]) -> ServerError {
    let text = String::from_utf8_lossy(body);
    let value: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    let code = value
        .pointer("/error/code")
        .or_else(|| value.pointer("/error/type"));
    let code = code.and_then(Value::as_str).map(str::to_owned);
    let message = error_message(&value).unwrap_or_else(|| {
        let plain = text.trim();
        if plain.is_empty() {
            "no explanation".to_owned()
        } else if plain.starts_with('<') {
            "an HTML page".to_owned()
        } else {
            plain.to_owned()
        }
    });
    ServerError {
        message: shorten(&message),
        code,
    }
}

/// The text in an error object.
pub(crate) fn error_message(value: &Value) -> Option<String> {
    let found = [
        value.pointer("/error/message"),
        value.get("error"),
        value.get("message"),
        value.get("detail"),
    ];
    found.into_iter().flatten().find_map(Value::as_str).map(shorten)
}

/// One line of bounded length.
pub(crate) fn shorten(text: &str) -> String {
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MAX_MESSAGE_CHARS) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_bodies_of_all_kinds_give_one_line() {
        let message = |body: &str| server_error(body.as_bytes()).message;
        assert_eq!(
            message(r#"{"error":{"message":"no\nsuch model","code":"x"}}"#),
            "no such model"
        );
        assert_eq!(message(r#"{"error":"model not loaded"}"#), "model not loaded");
        assert_eq!(message(r#"{"detail":"Not Found"}"#), "Not Found");
        assert_eq!(message("<html>oops</html>"), "an HTML page");
        assert_eq!(message(""), "no explanation");
        assert!(message(&"x".repeat(9000)).len() < 600);
    }
}
