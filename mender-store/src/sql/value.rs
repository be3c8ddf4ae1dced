use std::{fmt, str::FromStr, sync::Arc};

use mender_core::{Time, Version, error::Source, error::StoreError, error::StoreResult};
use serde::{
    Serialize,
    de::{DeserializeOwned, IntoDeserializer as _, value::Error as NoName},
};

/// The value of a parameter or of a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Val {
    /// No value.
    Null,
    /// A number, a time, or a truth as 0 or 1.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A list of texts, for `@in`.
    Texts(Vec<String>),
    /// A list of numbers, for `@in`.
    Ints(Vec<i64>),
    /// Rows to insert, for `@rows`; all of one length.
    Rows(Vec<Vec<Val>>),
}

macro_rules! from {
    ($($ty:ty => |$value:ident| $val:expr;)+) => {$(
        impl From<$ty> for Val {
            fn from($value: $ty) -> Self {
                $val
            }
        }
    )+};
}

from! {
    i64 => |n| Self::Int(n);
    u32 => |n| Self::Int(n.into());
    bool => |truth| Self::Int(truth.into());
    usize => |n| Self::Int(i64::try_from(n).unwrap_or(i64::MAX));
    Time => |time| Self::Int(time.0);
    Version => |version| Self::Int(version.0);
    &str => |text| Self::Text(text.to_owned());
    &String => |text| Self::Text(text.clone());
    String => |text| Self::Text(text);
    &serde_json::Value => |json| Self::Text(json.to_string());
    &mender_core::TenantId => |id| Self::Text(id.as_str().to_owned());
    Vec<u8> => |bytes| Self::Bytes(bytes);
    Vec<String> => |texts| Self::Texts(texts);
    &[String] => |texts| Self::Texts(texts.to_vec());
    Vec<i64> => |ints| Self::Ints(ints);
    Vec<Vec<Val>> => |rows| Self::Rows(rows);
}

impl<T: Into<Self>> From<Option<T>> for Val {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The parameters of a statement, in the order of their numbers.
#[macro_export]
#[doc(hidden)]
macro_rules! vals {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Val::from($value)),*] };
}

/// Writes a value that serialises as a text, such as an enum.
pub(crate) fn name(value: &impl Serialize) -> StoreResult<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(text)) => Ok(text),
        Ok(other) => Err(StoreError::corrupt("value", format!("no text: {other}"))),
        Err(error) => Err(StoreError::corrupt("value", error)),
    }
}

/// Writes a value as JSON.
pub(crate) fn json(value: &impl Serialize) -> StoreResult<String> {
    serde_json::to_string(value).map_err(|e| StoreError::corrupt("value", e))
}

/// Names a column: by position or by name.
pub trait Col: Copy + fmt::Display {
    /// Returns the position of the column.
    fn position(self, names: &[String]) -> Option<usize>;
}

impl Col for usize {
    fn position(self, names: &[String]) -> Option<usize> {
        (self < names.len()).then_some(self)
    }
}

impl Col for &str {
    fn position(self, names: &[String]) -> Option<usize> {
        names.iter().position(|name| name == self)
    }
}

/// A row of an answer. A column of another type than asked for is [`StoreError::Corrupt`].
#[derive(Clone, Debug)]
pub struct Row {
    names: Arc<[String]>,
    vals: Vec<Val>,
}

fn corrupt(col: impl Col, source: impl Into<Source>) -> StoreError {
    StoreError::corrupt(format!("column {col}"), source)
}

impl Row {
    /// A row with these columns.
    #[must_use]
    pub fn new(names: Arc<[String]>, vals: Vec<Val>) -> Self {
        Self { names, vals }
    }

    fn val(&self, col: impl Col) -> StoreResult<&Val> {
        col.position(&self.names)
            .and_then(|at| self.vals.get(at))
            .ok_or_else(|| corrupt(col, "no such column"))
    }

    /// Returns a number.
    pub fn int(&self, col: impl Col) -> StoreResult<i64> {
        match self.val(col)? {
            Val::Int(n) => Ok(*n),
            other => Err(corrupt(col, format!("no number: {other:?}"))),
        }
    }

    /// Returns a text.
    pub fn text(&self, col: impl Col) -> StoreResult<&str> {
        match self.val(col)? {
            Val::Text(text) => Ok(text),
            other => Err(corrupt(col, format!("no text: {other:?}"))),
        }
    }

    /// Returns bytes.
    pub fn bytes(&self, col: impl Col) -> StoreResult<&[u8]> {
        match self.val(col)? {
            Val::Bytes(bytes) => Ok(bytes),
            other => Err(corrupt(col, format!("no bytes: {other:?}"))),
        }
    }

    /// Tells whether the column has no value.
    pub fn is_null(&self, col: impl Col) -> StoreResult<bool> {
        Ok(*self.val(col)? == Val::Null)
    }

    /// Returns a number, where there is one.
    pub fn opt_int(&self, col: impl Col) -> StoreResult<Option<i64>> {
        match self.val(col)? {
            Val::Null => Ok(None),
            _ => self.int(col).map(Some),
        }
    }

    /// Returns a text, where there is one.
    pub fn opt_text(&self, col: impl Col) -> StoreResult<Option<&str>> {
        match self.val(col)? {
            Val::Null => Ok(None),
            _ => self.text(col).map(Some),
        }
    }

    /// Returns a truth.
    pub fn flag(&self, col: impl Col) -> StoreResult<bool> {
        Ok(self.int(col)? != 0)
    }

    /// Returns a time.
    pub fn time(&self, col: impl Col) -> StoreResult<Time> {
        self.int(col).map(Time)
    }

    /// Returns a time, where there is one.
    pub fn opt_time(&self, col: impl Col) -> StoreResult<Option<Time>> {
        Ok(self.opt_int(col)?.map(Time))
    }

    /// Returns a version.
    pub fn version(&self, col: impl Col) -> StoreResult<Version> {
        self.int(col).map(Version)
    }

    /// Parses a text: ids and enums.
    pub fn parse<T>(&self, col: impl Col) -> StoreResult<T>
    where
        T: FromStr<Err: Into<Source>>,
    {
        self.text(col)?.parse().map_err(|e| corrupt(col, e))
    }

    /// Reads a value that serialises as a text, such as an enum. It was checked when it was made.
    pub fn name<T: DeserializeOwned>(&self, col: impl Col) -> StoreResult<T> {
        let text = self.text(col)?.into_deserializer();
        T::deserialize(text).map_err(|e: NoName| corrupt(col, e))
    }

    /// Reads a text as JSON.
    pub fn json<T: DeserializeOwned>(&self, col: impl Col) -> StoreResult<T> {
        serde_json::from_str(self.text(col)?).map_err(|e| corrupt(col, e))
    }
}
