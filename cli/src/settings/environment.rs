//! The layer of `LANC_*` variables.

use std::str::FromStr;

use super::Settings;
use crate::duration;
use crate::failure::Failure;
use crate::keys::Keying;

/// Reads the variables through `variable`, which gives `None` for one that is not set. An
/// empty one counts as not set.
///
/// # Errors
/// A variable whose value makes no sense.
pub(crate) fn layer(variable: &dyn Fn(&str) -> Option<String>) -> Result<Settings, Failure> {
    let value = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
    let list = |name: &str| {
        let value = value(name)?;
        Some(
            value.split(',').map(|item| item.trim().to_owned()).filter(|i| !i.is_empty()).collect(),
        )
    };
    let port = |name: &str| match parsed(name, value(name), PORT)? {
        Some(0) => Err(bad(name, "0", PORT)),
        port => Ok(port),
    };
    let timeout = match value("LANC_TIMEOUT") {
        Some(text) => match duration::parse(&text) {
            Ok(timeout) if !timeout.is_zero() => Some(timeout),
            _ => return Err(bad("LANC_TIMEOUT", &text, "a duration, 500ms or 2s say")),
        },
        None => None,
    };
    Ok(Settings {
        port: port("LANC_PORT")?,
        iface: list("LANC_IFACE"),
        bind: parsed("LANC_BIND", value("LANC_BIND"), "an IP address")?,
        private_port: port("LANC_PRIVATE_PORT")?,
        timeout,
        name: value("LANC_NAME"),
        peer: list("LANC_PEERS"),
        keying: value("LANC_KEY_FILE").map(|path| Keying::File(path.into())),
        ..Settings::default()
    })
}

const PORT: &str = "a port, 1 to 65535";

fn parsed<T: FromStr>(
    name: &str,
    value: Option<String>,
    wanted: &str,
) -> Result<Option<T>, Failure> {
    let Some(value) = value else { return Ok(None) };
    value.trim().parse().map(Some).map_err(|_| bad(name, &value, wanted))
}

fn bad(name: &str, value: &str, wanted: &str) -> Failure {
    Failure::usage(
        format!("the environment variable {name} is `{value}`, but must be {wanted}"),
        format!("set {name} to {wanted}, or unset it"),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Failure> {
        layer(&|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn variables_are_read() {
        let settings = read(&[
            ("LANC_PORT", "6000"),
            ("LANC_IFACE", "eth0, lo"),
            ("LANC_BIND", "127.0.0.1"),
            ("LANC_PRIVATE_PORT", "6001"),
            ("LANC_TIMEOUT", "2s"),
            ("LANC_NAME", "printer"),
            ("LANC_PEERS", "s1,127.0.0.1:9"),
            ("LANC_KEY_FILE", "/k/lan.key"),
        ])
        .unwrap();
        assert_eq!(settings.port, Some(6000));
        assert_eq!(settings.iface, Some(vec!["eth0".to_owned(), "lo".to_owned()]));
        assert_eq!(settings.bind, Some("127.0.0.1".parse().unwrap()));
        assert_eq!(settings.private_port, Some(6001));
        assert_eq!(settings.timeout, Some(Duration::from_secs(2)));
        assert_eq!(settings.name.as_deref(), Some("printer"));
        assert_eq!(settings.peer, Some(vec!["s1".to_owned(), "127.0.0.1:9".to_owned()]));
        assert_eq!(settings.keying, Some(Keying::File("/k/lan.key".into())));
        assert_eq!(read(&[("LANC_PORT", ""), ("LANC_IFACE", " ")]), Ok(Settings::default()));
    }

    #[test]
    fn nonsense_names_its_variable() {
        for (name, value) in [
            ("LANC_PORT", "0"),
            ("LANC_PORT", "65536"),
            ("LANC_PRIVATE_PORT", "0"),
            ("LANC_BIND", "localhost"),
            ("LANC_TIMEOUT", "0"),
            ("LANC_TIMEOUT", "soon"),
        ] {
            let failure = read(&[(name, value)]).unwrap_err();
            assert_eq!(failure.exit_code(), 2);
            assert!(failure.to_text(true).contains(name), "{name}={value}");
        }
    }
}
