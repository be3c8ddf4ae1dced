//! Path parameters.

use std::{borrow::Cow, str::FromStr, sync::Arc};

use axum::extract::FromRequestParts;
use http::request::Parts;
use mender_core::error::Error as Refusal;
use serde::{
    Deserializer,
    de::{
        DeserializeOwned, IntoDeserializer, Visitor,
        value::{Error, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use crate::{error::ApiError, query::unescape};

/// Decodes one segment; the error is an escape that is none.
pub(crate) fn decode(segment: &str) -> Result<String, String> {
    unescape(segment)
}

fn decoded(segment: &str) -> Result<Cow<'_, str>, String> {
    match segment.contains('%') {
        false => Ok(Cow::Borrowed(segment)),
        true => unescape(segment).map(Cow::Owned),
    }
}

/// Splits a path at its slashes and decodes each part; the error is an escape that is none.
///
/// Every request is split several times, and few have anything to decode.
pub(crate) fn segments(path: &str) -> Result<Vec<Cow<'_, str>>, String> {
    let path = path.strip_prefix('/').unwrap_or(path);
    path.split('/').map(decoded).collect()
}

/// The parameters of the matched route, by name, in the order of the path.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params(pub(crate) Arc<[(&'static str, String)]>);

impl Params {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Extracts the parameters of the path: one value, a tuple in the order of the path, or a struct
/// by name. A value that does not parse is 404.
///
/// A parameter named `{tenant}` is left out: [`Internal`](crate::authenticate::Internal) takes it. An
/// empty segment is the empty text, except at the end of the path, where it matches nothing.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let params = parts.extensions.get::<Params>().cloned();
        let value = T::deserialize(Reader(&params.unwrap_or_default()));
        value.map(Self).map_err(|error| ApiError::no_route().because(error))
    }
}

/// Reads an id that a path names. What can be no id is unknown, and answered like one that is.
pub(crate) fn id<T: FromStr>(
    text: &str,
    what: &'static str,
    refuse: impl FnOnce(Refusal) -> ApiError,
) -> Result<T, ApiError> {
    text.parse().map_err(|_| refuse(Refusal::not_found(what)))
}

struct Reader<'a>(&'a Params);

impl<'a> Reader<'a> {
    fn pairs(&self) -> impl Iterator<Item = (&'static str, &'a str)> + use<'a> {
        let params: &'a Params = self.0;
        let pairs = params.0.iter().filter(|(name, _)| *name != "tenant");
        pairs.map(|(name, value)| (*name, value.as_str()))
    }

    fn values(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.pairs().map(|(_, value)| value)
    }
}

impl<'de> Deserializer<'de> for Reader<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let value = self.values().next().unwrap_or_default();
        value.into_deserializer().deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        SeqDeserializer::new(self.values()).deserialize_any(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        MapDeserializer::new(self.pairs()).deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        option unit unit_struct tuple_struct enum identifier ignored_any
    }
}
