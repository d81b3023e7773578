//! How values that are no columns of their own are stored: the same names and shapes as on the wire.

use diesel::result::Error;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use slipway_db::DbError;

/// Reads a `jsonb` column.
pub(super) fn from_json<T: DeserializeOwned>(value: Value) -> Result<T, DbError> {
    serde_json::from_value(value).map_err(|fault| DbError::Query(Error::DeserializationError(fault.into())))
}

/// Writes a `jsonb` column.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<Value, DbError> {
    serde_json::to_value(value).map_err(|fault| DbError::Query(Error::SerializationError(fault.into())))
}

/// Reads a text column that holds the name of a variant.
pub(super) fn from_text<T: DeserializeOwned>(name: String) -> Result<T, DbError> {
    from_json(Value::String(name))
}

/// Writes the name of a variant.
pub(super) fn to_text<T: Serialize>(variant: &T) -> Result<String, DbError> {
    match to_json(variant)? {
        Value::String(name) => Ok(name),
        other => Err(DbError::Query(Error::SerializationError(format!("{other} is no name").into()))),
    }
}
