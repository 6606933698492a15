//! The name of the function that is called.

use std::cell::RefCell;

use lanc_core::error::CallError;
use lanc_core::id::FunctionName;

use crate::call::invalid;

/// Names that a thread remembers.
const PLACES: usize = 8;

thread_local! {
    /// The names of this thread's latest calls: whoever calls again and again checks and allocates
    /// nothing, and shares no counter of references with other threads.
    static LATEST: RefCell<[Option<FunctionName>; PLACES]> = const { RefCell::new([const { None }; PLACES]) };
}

/// A function's name.
///
/// # Errors
/// `invalid_arguments` for what cannot name a function.
pub(crate) fn checked(text: &str) -> Result<FunctionName, CallError> {
    let fresh = || FunctionName::new(text).map_err(|error| invalid(error.to_string()));
    LATEST.with(|latest| {
        let Ok(mut latest) = latest.try_borrow_mut() else { return fresh() };
        let Some(place) = latest.get_mut(place_of(text)) else { return fresh() };
        match place {
            Some(name) if name.as_str() == text => Ok(name.clone()),
            _ => Ok(place.insert(fresh()?).clone()),
        }
    })
}

/// Where a name is remembered: names that differ in length or at their ends mostly differ in this.
fn place_of(text: &str) -> usize {
    let ends = [text.bytes().next(), text.bytes().next_back()];
    let ends: usize = ends.into_iter().flatten().map(usize::from).sum();
    (text.len() + ends) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_itself_whatever_was_called_before() {
        let names: Vec<String> = (0..100).map(|n| format!("f{n}")).collect();
        for name in names.iter().chain(&names) {
            assert_eq!(checked(name).unwrap().as_str(), name);
        }
        let clones = [checked("add").unwrap(), checked("add").unwrap()];
        assert!(std::ptr::eq(clones[0].as_str(), clones[1].as_str()), "it is remembered");
    }

    #[test]
    fn what_cannot_name_a_function_is_refused_each_time() {
        for text in ["", "1a", "a b", &"a".repeat(FunctionName::MAX + 1)] {
            for _ in 0..2 {
                assert!(checked(text).is_err(), "{text:?}");
            }
        }
    }
}
