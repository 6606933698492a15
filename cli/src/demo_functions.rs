//! The functions of `serve --demo`: one that computes, one that returns what it got, one that
//! takes its time, one that fails.

use std::time::Duration;

use lanc::{ErrorCode, Fault, Node, RegisterError};
use serde_json::Number;

use crate::as_json::AsJson;

/// What they are called.
pub(crate) const NAMES: [&str; 4] = ["add", "echo", "sleep", "fail"];

/// Registers all of them.
///
/// # Errors
/// [`RegisterError`] of the first that was refused.
pub(crate) fn register(node: &Node) -> Result<(), RegisterError> {
    node.function("add", add).doc("the sum of two numbers").register()?;
    node.function("echo", |value: AsJson| value.0).doc("its argument").register()?;
    node.function("sleep", sleep).doc("waits so many ms, returns them").register()?;
    node.function("fail", fail).doc("fails with its message").register()
}

/// Whole numbers stay whole.
fn add(a: Number, b: Number) -> Result<Number, Fault> {
    let whole = a.as_i128().zip(b.as_i128()).and_then(|(a, b)| Number::from_i128(a + b));
    let sum = || Number::from_f64(a.as_f64()? + b.as_f64()?);
    whole
        .or_else(sum)
        .ok_or_else(|| Fault::new(ErrorCode::EXECUTION_ERROR, format!("{a} + {b} is out of range")))
}

async fn sleep(ms: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(ms)).await;
    ms
}

fn fail(message: String) -> Result<(), String> {
    Err(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_sums_stay_whole() {
        let sum = |a: &str, b: &str| {
            let number = |text: &str| serde_json::from_str(text).unwrap();
            add(number(a), number(b)).map(|sum| sum.to_string())
        };
        assert_eq!(sum("1", "2").unwrap(), "3");
        assert_eq!(sum("9223372036854775807", "1").unwrap(), "9223372036854775808");
        assert_eq!(sum("-1", "0.5").unwrap(), "-0.5");
        assert_eq!(sum("18446744073709551615", "1").unwrap(), "1.8446744073709552e+19");
        assert!(sum("1.7e308", "1.7e308").is_err());
    }
}
