//! Bodies for the fuzzers of what people write: settings and arguments. No part of the interface.

use clap::Parser as _;
use lanc::Config;
use serde_json::Value;

use crate::args::Cli;
use crate::settings::{Settings, environment, file};
use crate::values::{self, Reading, Style};
use crate::{escape, usage};

/// The variables that are settings.
const VARIABLES: [&str; 7] = [
    "LANC_PORT",
    "LANC_IFACE",
    "LANC_BIND",
    "LANC_PRIVATE_PORT",
    "LANC_TIMEOUT",
    "LANC_NAME",
    "LANC_PEERS",
];

/// Bytes as a `lanc.toml`, then its lines as the variables of the environment.
///
/// # Panics
/// When what was read is out of range, or a mistake is told without its place.
pub fn settings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let layer = match file::layer("lanc.toml", &text) {
        Ok(layer) => layer,
        Err(failure) => {
            let told = failure.to_text(true);
            assert!(failure.exit_code() == 2 && told.contains("lanc.toml:"), "{told}");
            Settings::default()
        }
    };
    let lines: Vec<&str> = text.lines().collect();
    let variable = |name: &str| {
        let place = VARIABLES.iter().position(|known| *known == name)?;
        lines.get(place).map(|line| (*line).to_owned())
    };
    let upper = match environment::layer(&variable) {
        Ok(upper) => upper,
        Err(failure) => {
            let told = failure.to_text(true);
            assert!(failure.exit_code() == 2 && told.contains("LANC_"), "{told}");
            Settings::default()
        }
    };
    for layer in [upper.clone().over(layer.clone()), upper, layer] {
        assert!(layer.port != Some(0) && layer.private_port != Some(0), "port 0");
        assert!(layer.timeout.is_none_or(|timeout| !timeout.is_zero()), "no time at all");
        if let Ok(endpoints) = layer.endpoints() {
            let is_complete = endpoints.iter().all(|endpoint| endpoint.socket_addr().is_some());
            assert!(is_complete, "{endpoints:?}");
        }
    }
}

/// Lines as the words of a command line: those of the command itself, and the values of `call`;
/// all of them as a message that may end with how a function is called.
///
/// # Panics
/// When a value is shown as something that a terminal obeys, or a word is lost.
pub fn arguments(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Some(words) = usage::read(&text) {
        assert!(!words.contains(char::is_control), "{words:?}");
    }
    let words: Vec<String> = text.split('\n').map(str::to_owned).collect();
    if words.len() < 20 {
        // Help and mistakes are results here.
        let _ =
            Cli::try_parse_from(std::iter::once("lanc").chain(words.iter().map(|w| w.as_str())));
    }
    // A word that names a file would read that file.
    let is_file = |word: &String| word.starts_with('@') || word.contains("=@");
    let words: Vec<String> = words.into_iter().filter(|word| !is_file(word)).collect();
    let (named, literal) = words.split_at(words.len() / 2);
    let config = Config::default();
    if let Ok(read) = values::arguments(named, literal, &b"[1]"[..], &config, Reading::Json) {
        assert_eq!(read.positional.len() + read.named.len(), words.len());
        assert!(read.named.keys().all(|name| values::is_identifier(name)), "{:?}", read.named);
        for value in read.positional.iter().chain(read.named.values()) {
            shows_harmlessly(value);
        }
    }
}

fn shows_harmlessly(value: &Value) {
    let shown = values::show(value, Style::Terminal);
    let is_obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    assert!(!shown.contains(is_obeyed), "{shown:?}");
    assert!(!values::show_in_line(value).contains(char::is_control), "{value:?}");
    let again: Result<Value, _> = serde_json::from_str(&escape::json(value));
    assert_eq!(again.ok().as_ref(), Some(value));
}
