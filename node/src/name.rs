//! The name of the function that is called.

use lanc_core::error::CallError;
use lanc_core::id::FunctionName;

use crate::call::invalid;
use crate::hub::State;

/// A function's name, until the core says whether it is known: kept in place, so that nothing is
/// allocated for a name that is.
pub(crate) struct Name {
    text: [u8; FunctionName::MAX],
    length: usize,
}

impl Name {
    /// # Errors
    /// `invalid_arguments` for what is longer than any name.
    pub(crate) fn of(text: &str) -> Result<Self, CallError> {
        let mut name = Self { text: [0; FunctionName::MAX], length: text.len() };
        match name.text.get_mut(..text.len()) {
            Some(place) => place.copy_from_slice(text.as_bytes()),
            None => return Err(no_name(text)),
        }
        Ok(name)
    }

    /// The name itself: the one that is known here, if it is.
    ///
    /// # Errors
    /// `invalid_arguments` for what cannot name a function.
    pub(crate) fn known_in(&self, state: &State) -> Result<FunctionName, CallError> {
        let text = self.text.get(..self.length).and_then(|text| std::str::from_utf8(text).ok());
        let text = text.unwrap_or_default();
        match state.core.known_name(text) {
            Some(name) => Ok(name),
            None => FunctionName::new(text).map_err(|error| invalid(error.to_string())),
        }
    }
}

/// A text that is too long for a name.
fn no_name(text: &str) -> CallError {
    invalid(FunctionName::new(text).err().map_or_else(String::new, |error| error.to_string()))
}
