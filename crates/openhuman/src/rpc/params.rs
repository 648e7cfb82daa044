//! Parameters of calls, read strictly: an unknown name is a mistake.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::RpcError;

pub(super) fn parse<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    let params = if params.is_null() { json!({}) } else { params };
    serde_json::from_value(params)
        .map_err(|error| RpcError::params(format!("the parameters do not fit: {error}")))
}

/// As [`parse`], for parameters with a secret in them: the reason would quote a value of a wrong type.
pub(super) fn parse_secret<T: DeserializeOwned>(params: Value) -> Result<T, RpcError> {
    parse(params).map_err(|_| {
        RpcError::params("the parameters do not fit: give each as a string, under its name, and no others")
    })
}

pub(super) fn to_json(value: &impl serde::Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(value).map_err(|error| RpcError::failed(error.to_string()))
}
