//! Ids, names, sessions, versions and endpoints: what is accepted is harmless and reads back.

use lanc_core::endpoint::Endpoint;
use lanc_core::id::{ExeId, FunctionName, SessionId, Version};
use lanc_core::message::{CallState, Method};

/// Text, valid or not.
pub fn names(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let text = text.as_ref();
    call_id(text);
    function_name(text);
    if let Some(session) = SessionId::from_hex(text) {
        assert_eq!(session.to_string(), text.to_ascii_lowercase());
        assert!(session.to_string().starts_with(&format!("{:016x}", session.short())));
    }
    if let Some(Version { major, minor }) = Version::parse(text) {
        let again = Version::parse(&format!("{major}.{minor}"));
        assert_eq!(again, Some(Version { major, minor }), "{text}");
        assert!(text.len() <= 11 && text.is_ascii());
    }
    match text.parse::<Endpoint>() {
        Ok(endpoint) => {
            let written = endpoint.to_string();
            assert_eq!(written.parse::<Endpoint>().as_ref(), Ok(&endpoint), "{text} as {written}");
        }
        Err(error) => drop(error.to_string()),
    }
    if let Some(method) = Method::from_name(text) {
        assert_eq!(method.name(), text);
    }
    if let Some(state) = CallState::from_name(text) {
        assert_eq!(state.name(), text);
    }
}

fn call_id(text: &str) {
    let Ok(id) = text.parse::<ExeId>() else { return };
    assert_eq!(id.to_string(), text, "an id is echoed byte for byte");
    assert!(text.len() <= 46);
}

fn function_name(text: &str) {
    let is_valid = FunctionName::is_valid(text);
    match FunctionName::new(text) {
        Ok(name) => {
            assert!(is_valid && name.as_str() == text && name.to_string() == text);
            assert!((1..=128).contains(&text.len()), "{} bytes", text.len());
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.:-".contains(c);
            assert!(text.chars().all(is_plain), "{text:?} is a name");
        }
        Err(error) => {
            assert!(!is_valid);
            let told = error.to_string();
            assert!(!told.chars().any(char::is_control), "{told:?}");
            assert!(told.len() < 1024, "{} bytes to say that it is no name", told.len());
        }
    }
}
