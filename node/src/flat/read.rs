//! From flat values to types.

use lanc_core::ports::{Short, Shorts};
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};

use super::Otherwise;

/// All values, and whether they are a list or one.
pub(super) struct Values<'a> {
    pub(super) values: &'a [Short<'a>],
    pub(super) shape: Shorts,
}

/// One value.
struct One<'a>(Short<'a>);

/// The values of a list that are left.
struct List<'a>(&'a [Short<'a>]);

/// Asked for a type that only the codec reads.
macro_rules! otherwise {
    ($($method:ident($($parameter:ty),*);)+) => {$(
        fn $method<V: Visitor<'de>>(self, $(_: $parameter,)* _: V) -> Result<V::Value, Otherwise> {
            Err(Otherwise)
        }
    )+};
    // Those of one value as of a list.
    () => {
        otherwise! {
            deserialize_any();
            deserialize_i128();
            deserialize_u128();
            deserialize_f32();
            deserialize_f64();
            deserialize_char();
            deserialize_bytes();
            deserialize_byte_buf();
            deserialize_option();
            deserialize_unit();
            deserialize_unit_struct(&'static str);
            deserialize_newtype_struct(&'static str);
            deserialize_tuple_struct(&'static str, usize);
            deserialize_map();
            deserialize_struct(&'static str, &'static [&'static str]);
            deserialize_enum(&'static str, &'static [&'static str]);
            deserialize_identifier();
            deserialize_ignored_any();
        }
    };
}

/// Asked for a whole number. The visitor sees to its range.
macro_rules! numbers {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Otherwise> {
            match self.0 {
                Short::Uint(number) => visitor.visit_u64(number),
                Short::Int(number) => visitor.visit_i64(number),
                _ => Err(Otherwise),
            }
        }
    )*};
}

/// Asked for what stands alone: a value that does.
macro_rules! alone {
    ($($method:ident)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Otherwise> {
            match (self.shape, self.values) {
                (Shorts::One, [value]) => One(*value).$method(visitor),
                _ => Err(Otherwise),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for One<'_> {
    type Error = Otherwise;

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Otherwise> {
        match self.0 {
            Short::Bool(is) => visitor.visit_bool(is),
            _ => Err(Otherwise),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Otherwise> {
        match self.0 {
            Short::Text(text) => visitor.visit_str(text),
            _ => Err(Otherwise),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Otherwise> {
        self.deserialize_str(visitor)
    }

    otherwise! {}

    otherwise! {
        deserialize_seq();
        deserialize_tuple(usize);
    }
}

impl<'de> Deserializer<'de> for Values<'_> {
    type Error = Otherwise;

    alone! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
        deserialize_bool deserialize_str deserialize_string
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Otherwise> {
        let Shorts::List(_) = self.shape else { return Err(Otherwise) };
        let mut list = List(self.values);
        let value = visitor.visit_seq(&mut list)?;
        if list.0.is_empty() { Ok(value) } else { Err(Otherwise) }
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Otherwise> {
        self.deserialize_seq(visitor)
    }

    otherwise! {}
}

impl<'de> SeqAccess<'de> for List<'_> {
    type Error = Otherwise;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Otherwise> {
        let Some((first, rest)) = self.0.split_first() else { return Ok(None) };
        self.0 = rest;
        seed.deserialize(One(*first)).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}
