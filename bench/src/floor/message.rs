//! The bytes of a call: a kind, the caller's place, and two numbers, or bytes to echo.

/// Length of an `add` and of its answer: what a lean call of one message takes.
pub(crate) const ADD_LEN: usize = 34;
/// What stands before the bytes of an echo.
pub(crate) const HEAD_LEN: usize = 5;

/// An `add`, or the answer to one.
pub(crate) type Add = [u8; ADD_LEN];

const ADD: u8 = b'a';
const ECHO: u8 = b'e';

/// Asks for `number + 7`.
pub(crate) fn add(caller: u32, number: i64) -> Add {
    let mut message = [0; ADD_LEN];
    message[0] = ADD;
    message[1..5].copy_from_slice(&caller.to_be_bytes());
    message[5..13].copy_from_slice(&number.to_be_bytes());
    message[13..21].copy_from_slice(&7_i64.to_be_bytes());
    message
}

/// The head of an echo.
pub(crate) fn echo_head(caller: u32) -> [u8; HEAD_LEN] {
    let [a, b, c, d] = caller.to_be_bytes();
    [ECHO, a, b, c, d]
}

/// Turns a call into its answer, in place. An echo is its own answer. `None`: it is neither.
pub(crate) fn answer(message: &mut [u8]) -> Option<()> {
    if message.first() == Some(&ADD) {
        let sum = number(message, 5)?.wrapping_add(number(message, 13)?);
        message[5..13].copy_from_slice(&sum.to_be_bytes());
        return Some(());
    }
    (message.first() == Some(&ECHO)).then_some(())
}

/// The place of the caller.
pub(crate) fn caller(message: &[u8]) -> Option<usize> {
    let bytes = message.get(1..)?.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*bytes)).ok()
}

/// Whether this answers [`add`] of that number.
///
/// # Errors
/// What came instead.
pub(crate) fn check_sum(message: &[u8], asked: i64) -> Result<(), String> {
    match number(message, 5) {
        Some(sum) if sum == asked + 7 => Ok(()),
        sum => Err(format!("{asked} + 7 came back as {sum:?}")),
    }
}

fn number(message: &[u8], at: usize) -> Option<i64> {
    message.get(at..)?.first_chunk().map(|bytes| i64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_become_answers() {
        let mut message = add(300, 35);
        assert_eq!(answer(&mut message), Some(()));
        assert_eq!(caller(&message), Some(300));
        assert_eq!(check_sum(&message, 35), Ok(()));
        assert!(check_sum(&message, 36).is_err());
        assert_eq!(answer(&mut []), None);
        assert_eq!(answer(&mut [ADD, 0]), None);
    }
}
