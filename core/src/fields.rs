//! S0's nine fields, as they stand in a message, before anybody asks what they mean.

use crate::ports::{Budget, Codec, DecodeError, Item, Value};

/// The fields of one message: S0's nine and the native extension object `x`. Unknown fields
/// are ignored; of a field given twice the last one counts.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Fields<'a> {
    /// `type`: always `LANC`.
    pub kind: Option<Value<'a>>,
    /// `method`: a name, or a number in the published package's form.
    pub method: Option<Value<'a>>,
    /// `version`: text or number.
    pub version: Option<Value<'a>>,
    /// `data`: depends on the method.
    pub data: Option<Value<'a>>,
    /// `exe_id`: the call's id, chosen by the caller.
    pub exe_id: Option<Value<'a>>,
    /// `args`: positional arguments.
    pub args: Option<Value<'a>>,
    /// `kwargs`: named arguments.
    pub kwargs: Option<Value<'a>>,
    /// `encrypted`: `no`, or a cipher's name.
    pub encrypted: Option<Value<'a>>,
    /// `compress`: `no`, or a compression's name.
    pub compress: Option<Value<'a>>,
    /// `x`: what native nodes say beyond the nine.
    pub x: Option<Value<'a>>,
}

impl<'a> Fields<'a> {
    /// Reads one message and returns it with the number of bytes it took.
    ///
    /// # Errors
    /// [`DecodeError`], for input that is no map within the budget.
    pub fn read(
        codec: &dyn Codec,
        input: &'a [u8],
        budget: &mut Budget,
    ) -> Result<(Self, usize), DecodeError> {
        let mut fields = Self::default();
        let used = fields.read_into(codec, input, budget)?;
        Ok((fields, used))
    }

    /// The same into fields that are empty: they hold what was read before a fault.
    pub(crate) fn read_into(
        &mut self,
        codec: &dyn Codec,
        input: &'a [u8],
        budget: &mut Budget,
    ) -> Result<usize, DecodeError> {
        codec.read_map(input, budget, &mut |key, value| {
            let field = match key {
                "type" => &mut self.kind,
                "method" => &mut self.method,
                "version" => &mut self.version,
                "data" => &mut self.data,
                "exe_id" => &mut self.exe_id,
                "args" => &mut self.args,
                "kwargs" => &mut self.kwargs,
                "encrypted" => &mut self.encrypted,
                "compress" => &mut self.compress,
                "x" => &mut self.x,
                _ => return Ok(()),
            };
            *field = Some(value);
            Ok(())
        })
    }
}

/// The encoded bytes of a field that must be a list, or nothing when it is absent or null.
pub(crate) fn list_or_nothing<'a>(field: Option<&Value<'a>>) -> Result<&'a [u8], DecodeError> {
    match field.map(|value| &value.item) {
        None | Some(Item::Null) => Ok(&[]),
        Some(Item::List(raw)) => Ok(raw),
        Some(_) => Err(DecodeError::WrongType),
    }
}

/// The encoded bytes of a field that must be a map, or nothing when it is absent or null.
pub(crate) fn map_or_nothing<'a>(field: Option<&Value<'a>>) -> Result<&'a [u8], DecodeError> {
    match field.map(|value| &value.item) {
        None | Some(Item::Null) => Ok(&[]),
        Some(Item::Map(raw)) => Ok(raw),
        Some(_) => Err(DecodeError::WrongType),
    }
}
