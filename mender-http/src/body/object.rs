//! Objects, as the reference server reads them.

use std::{fmt, iter};

use serde::{
    Deserialize, Deserializer,
    de::{
        self, DeserializeSeed, IntoDeserializer, MapAccess, Visitor,
        value::{MapDeserializer, StrDeserializer},
    },
    forward_to_deserialize_any,
};
/// Reads structs from objects only, where serde takes a list of the fields, too.
// Compat: `null` is an empty object, and names of fields are found in any case.
pub(super) struct Object<D>(pub(super) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Object<D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(OrNull(visitor))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_map(AnyCase { of: visitor, fields })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct newtype_struct seq tuple tuple_struct enum identifier ignored_any
    }
}

/// A visitor of maps for which `null` is an empty one.
struct OrNull<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for OrNull<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        self.0.visit_map(MapDeserializer::new(iter::empty::<((), ())>()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(map)
    }
}

/// An object within a body, read as the body itself is.
#[derive(Clone, Debug)]
pub(crate) struct Item<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(Object(from)).map(Self)
    }
}

/// Takes `null` for the default, as the reference does.
pub(crate) fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    from: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// A visitor, or a map, whose names are those of fields even if their case differs.
struct AnyCase<T> {
    of: T,
    fields: &'static [&'static str],
}

impl<'de, V: Visitor<'de>> Visitor<'de> for AnyCase<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<V::Value, A::Error> {
        self.of.visit_map(AnyCase { of: map, fields: self.fields })
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for AnyCase<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(key) = self.of.next_key::<String>()? else {
            return Ok(None);
        };
        let field = self.fields.iter().find(|field| field.eq_ignore_ascii_case(&key));
        let name: StrDeserializer<'_, A::Error> =
            field.copied().unwrap_or(&key).into_deserializer();
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.of.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::{Map, Value};

    use super::Item;
    use crate::body::decode;

    #[derive(Debug, Default, Deserialize, PartialEq)]
    #[serde(default)]
    struct Named {
        no_expiry: u32,
    }

    #[test]
    fn a_list_is_no_struct() {
        assert!(decode::<Named>(b"[1]", false).is_err());
        assert!(decode::<Named>(b"{}", false).is_ok());
    }

    #[test]
    fn null_is_an_empty_object_but_no_other_value() {
        assert_eq!(decode::<Named>(b" null", true).unwrap(), Named::default());
        assert_eq!(decode::<Map<String, Value>>(b"null", true).unwrap(), Map::new());
        assert_eq!(decode::<Value>(b"null", true).unwrap(), Value::Null);
        assert!(decode::<Vec<u32>>(b"null", true).is_err());
        assert!(decode::<Named>(b"nul", false).is_err());
        assert_eq!(
            decode::<Named>(b"null x", true).unwrap_err().to_string(),
            "invalid character 'x' after top-level value"
        );
    }

    #[test]
    fn objects_within_a_body_are_read_alike() {
        let list = |body: &[u8]| decode::<Vec<Item<Named>>>(body, true);
        let items = list(br#"[null,{"NO_expiry":7}]"#).unwrap();
        let items: Vec<Named> = items.into_iter().map(|item| item.0).collect();
        assert_eq!(items, [Named::default(), Named { no_expiry: 7 }]);
        for body in ["[[7]]", "[7]", r#"["x"]"#] {
            assert!(list(body.as_bytes()).is_err(), "{body}");
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_others_ignored() {
        for body in [r#"{"no_expiry":7}"#, r#"{"x":[1],"No_Expiry":7}"#] {
            assert_eq!(decode::<Named>(body.as_bytes(), true).unwrap(), Named { no_expiry: 7 });
        }
        assert!(decode::<Named>(br#"{"NO_EXPIRY":"x"}"#, true).is_err());
        assert_eq!(decode::<Map<String, Value>>(br#"{"A":1,"a":2}"#, true).unwrap().len(), 2);
    }
}
