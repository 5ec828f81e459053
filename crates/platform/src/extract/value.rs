//! What a request says, before it is read as a type of ours.
//!
//! serde's derived types accept more than a contract means: an array for an object, its fields by position; and of two
//! equal keys some keep the last. Whatever is read from here is strict in all of its depth.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::misfit::Misfit;

/// JSON, or the parameters of a query.
#[derive(Debug)]
pub(super) enum Value<'de> {
    Null,
    Bool(bool),
    Whole(i128),
    Float(f64),
    Text(Cow<'de, str>),
    /// Text that may stand for a number or a truth value.
    Parameter(Cow<'de, str>),
    List(Vec<Self>),
    Object(Vec<(Cow<'de, str>, Self)>),
}

/// Where every number of a float is a whole one: beyond it, it is not known which was meant.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl<'de> Value<'de> {
    /// The parameters of a query string.
    pub(super) fn of_query(query: &'de str) -> Self {
        let pairs = form_urlencoded::parse(query.as_bytes());
        Self::Object(pairs.map(|(name, value)| (name, Self::Parameter(value))).collect())
    }

    /// The number between these two, however it is written: `99.0` is as whole as `99`.
    fn whole(&self, least: i128, most: i128) -> Result<i128, Misfit> {
        let number = match self {
            Self::Whole(number) => Some(*number),
            Self::Float(float) => whole_of(*float),
            Self::Parameter(text) => text.parse().ok(),
            _ => None,
        };
        let number = number.ok_or_else(|| self.is_not("a whole number"))?;
        if (least..=most).contains(&number) {
            Ok(number)
        } else {
            Err(Misfit::invalid(format!("must be a whole number from {least} to {most}")))
        }
    }

    fn text(self) -> Result<Cow<'de, str>, Misfit> {
        match self {
            Self::Text(text) | Self::Parameter(text) if text.contains('\0') => {
                Err(Misfit::invalid("must not contain the character U+0000"))
            }
            Self::Text(text) | Self::Parameter(text) => Ok(text),
            other => Err(other.is_not("a string")),
        }
    }

    /// A parameter has no type to be wrong: it is the value.
    fn is_not(&self, wanted: &str) -> Misfit {
        let rule = format!("must be {wanted}");
        if matches!(self, Self::Parameter(_)) { Misfit::invalid(rule) } else { Misfit::wrong_type(rule) }
    }
}

fn whole_of(float: f64) -> Option<i128> {
    let whole = float.fract() == 0.0 && float.abs() <= EXACT;
    #[expect(clippy::cast_possible_truncation, reason = "it is whole, and far below the largest")]
    whole.then_some(float as i128)
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Value::Whole(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Value::Whole(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Value::Float(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Value::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = list.next_element()? {
            elements.push(element);
        }
        Ok(Value::List(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            fields.push((name, value));
        }
        Ok(Value::Object(fields))
    }
}

#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

macro_rules! whole_numbers {
    ($($method:ident $visit:ident $number:ty)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
            let number = self.whole(<$number>::MIN.into(), <$number>::MAX.into())?;
            visitor.$visit(number.try_into().expect("it is between the two"))
        }
    )*};
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Misfit;

    whole_numbers! {
        deserialize_i8 visit_i8 i8
        deserialize_i16 visit_i16 i16
        deserialize_i32 visit_i32 i32
        deserialize_i64 visit_i64 i64
        deserialize_u8 visit_u8 u8
        deserialize_u16 visit_u16 u16
        deserialize_u32 visit_u32 u32
        deserialize_u64 visit_u64 u64
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self {
            Self::Null => visitor.visit_unit(),
            Self::Bool(value) => visitor.visit_bool(value),
            Self::Whole(number) if number >= 0 => self.deserialize_u64(visitor),
            Self::Whole(_) => self.deserialize_i64(visitor),
            Self::Float(value) => visitor.visit_f64(value),
            Self::Text(_) | Self::Parameter(_) => self.deserialize_str(visitor),
            Self::List(_) => self.deserialize_seq(visitor),
            Self::Object(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let value = match &self {
            Self::Bool(value) => Some(*value),
            Self::Parameter(text) => text.parse().ok(),
            _ => None,
        };
        visitor.visit_bool(value.ok_or_else(|| self.is_not("true or false"))?)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        #[expect(clippy::cast_precision_loss, reason = "whoever asks for a float has one")]
        let number = match &self {
            Self::Whole(number) => Some(*number as f64),
            Self::Float(number) => Some(*number),
            Self::Parameter(text) => text.parse().ok().filter(|number: &f64| number.is_finite()),
            _ => None,
        };
        visitor.visit_f64(number.ok_or_else(|| self.is_not("a number"))?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        match self.text()? {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        if matches!(self, Self::Null) { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let Self::List(elements) = self else { return Err(self.is_not("an array")) };
        let mut elements = Elements { rest: elements.into_iter().enumerate() };
        let read = visitor.visit_seq(&mut elements)?;
        if elements.rest.len() == 0 { Ok(read) } else { Err(Misfit::invalid("has too many elements")) }
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        let Self::Object(fields) = self else { return Err(self.is_not("an object")) };
        if let Some(name) = repeated(&fields) {
            return Err(Misfit::repeated(name));
        }
        visitor.visit_map(Fields { rest: fields.into_iter(), value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        visitor.visit_enum(self.text()?.into_deserializer())
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        visitor.visit_unit()
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Misfit> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misfit> {
        self.deserialize_str(visitor)
    }

    forward_to_deserialize_any! { i128 u128 char bytes byte_buf unit unit_struct identifier }
}

/// So few names are compared faster than hashed.
const FEW: usize = 16;

/// A name that stands twice.
fn repeated<'a>(fields: &'a [(Cow<'_, str>, Value<'_>)]) -> Option<&'a str> {
    let mut names = fields.iter().map(|(name, _)| &**name);
    if fields.len() <= FEW {
        let earlier = |index: usize, name: &str| fields[..index].iter().any(|(earlier, _)| earlier == name);
        return names.enumerate().find(|(index, name)| earlier(*index, name)).map(|(_, name)| name);
    }
    let mut seen = HashSet::with_capacity(fields.len());
    names.find(|name| !seen.insert(*name))
}

struct Elements<'de> {
    rest: std::iter::Enumerate<std::vec::IntoIter<Value<'de>>>,
}

impl<'de> SeqAccess<'de> for &mut Elements<'de> {
    type Error = Misfit;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some((index, element)) = self.rest.next() else { return Ok(None) };
        seed.deserialize(element).map(Some).map_err(|misfit| misfit.inside(index.to_string()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

struct Fields<'de> {
    rest: std::vec::IntoIter<(Cow<'de, str>, Value<'de>)>,
    value: Option<(Cow<'de, str>, Value<'de>)>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = Misfit;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Misfit> {
        let Some((name, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some((name.clone(), value));
        seed.deserialize(name.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misfit> {
        let (name, value) = self.value.take().expect("a value is asked for after its key");
        seed.deserialize(value).map_err(|misfit| misfit.inside(name.into_owned()))
    }
}
