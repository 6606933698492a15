//! From types to flat values.

use lanc_core::ports::{Codec, Item};
use serde::ser::{self, Impossible, Serialize, Serializer};

use super::{MOST, Otherwise};

/// What a flat value consists of. Text is not among it: it would have to be borrowed for longer
/// than it is shown.
#[derive(Clone, Copy)]
enum Plain {
    Bool(bool),
    Int(i64),
    Uint(u64),
}

impl Plain {
    fn item(self) -> Item<'static> {
        match self {
            Self::Bool(is) => Item::Bool(is),
            Self::Int(number) => Item::Int(number),
            Self::Uint(number) => Item::Uint(number),
        }
    }
}

/// One value, or a tuple of them.
pub(super) struct Values {
    values: [Plain; MOST],
    used: usize,
    is_tuple: bool,
}

/// The values of something flat; `None` for anything else.
#[inline]
pub(super) fn values<T: Serialize + ?Sized>(value: &T) -> Option<Values> {
    let mut values = Values { values: [Plain::Bool(false); MOST], used: 0, is_tuple: false };
    value.serialize(&mut values).ok()?;
    Some(values)
}

impl Values {
    #[inline]
    fn put(&mut self, value: Plain) -> Result<(), Otherwise> {
        *self.values.get_mut(self.used).ok_or(Otherwise)? = value;
        self.used += 1;
        Ok(())
    }

    /// Appends them.
    pub(super) fn write(&self, codec: &dyn Codec, out: &mut Vec<u8>) {
        let mut items = [const { Item::Null }; MOST];
        for (item, value) in items.iter_mut().zip(self.values).take(self.used) {
            *item = value.item();
        }
        match (self.is_tuple, items.get(..self.used)) {
            (true, Some(items)) => codec.write_list(items, out),
            (false, Some([item])) => codec.write_item(item, out),
            // There is always one.
            _ => codec.write_item(&Item::Null, out),
        }
    }
}

/// Values that a flat one consists of.
macro_rules! plain {
    ($($method:ident($type:ty) as $plain:ident;)*) => {$(
        #[inline]
        fn $method(self, value: $type) -> Result<(), Otherwise> {
            self.put(Plain::$plain(value.into()))
        }
    )*};
}

/// Asked to write what only the codec can write.
macro_rules! otherwise {
    ($($method:ident($($parameter:ty),*) -> $result:ty;)*) => {$(
        fn $method(self, $(_: $parameter),*) -> Result<$result, Otherwise> {
            Err(Otherwise)
        }
    )*};
}

type No = Impossible<(), Otherwise>;

impl<'v> Serializer for &'v mut Values {
    type Ok = ();
    type Error = Otherwise;
    type SerializeSeq = No;
    type SerializeTuple = Tuple<'v>;
    type SerializeTupleStruct = No;
    type SerializeTupleVariant = No;
    type SerializeMap = No;
    type SerializeStruct = No;
    type SerializeStructVariant = No;

    plain! {
        serialize_bool(bool) as Bool;
        serialize_i8(i8) as Int;
        serialize_i16(i16) as Int;
        serialize_i32(i32) as Int;
        serialize_i64(i64) as Int;
        serialize_u8(u8) as Uint;
        serialize_u16(u16) as Uint;
        serialize_u32(u32) as Uint;
        serialize_u64(u64) as Uint;
    }

    otherwise! {
        serialize_f32(f32) -> ();
        serialize_f64(f64) -> ();
        serialize_char(char) -> ();
        serialize_str(&str) -> ();
        serialize_bytes(&[u8]) -> ();
        serialize_none() -> ();
        serialize_unit() -> ();
        serialize_unit_struct(&'static str) -> ();
        serialize_unit_variant(&'static str, u32, &'static str) -> ();
        serialize_seq(Option<usize>) -> No;
        serialize_tuple_struct(&'static str, usize) -> No;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> No;
        serialize_map(Option<usize>) -> No;
        serialize_struct(&'static str, usize) -> No;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> No;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<(), Otherwise> {
        Err(Otherwise)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<(), Otherwise> {
        Err(Otherwise)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<(), Otherwise> {
        Err(Otherwise)
    }

    #[inline]
    fn serialize_tuple(self, _: usize) -> Result<Tuple<'v>, Otherwise> {
        // In another one.
        if self.is_tuple {
            return Err(Otherwise);
        }
        self.is_tuple = true;
        Ok(Tuple(self))
    }
}

/// A tuple that is being written.
pub(super) struct Tuple<'v>(&'v mut Values);

impl ser::SerializeTuple for Tuple<'_> {
    type Ok = ();
    type Error = Otherwise;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Otherwise> {
        value.serialize(&mut *self.0)
    }

    #[inline]
    fn end(self) -> Result<(), Otherwise> {
        Ok(())
    }
}
