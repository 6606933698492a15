//! The command line of `lanc call`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::positive;
use crate::duration;

/// Options of `call`.
#[derive(Args, Debug, Serialize, Deserialize)]
#[command(
    after_help = "Arguments are JSON where they parse, else text. k=v is a named argument, @FILE and - read one
value from a file or from standard input. What stands after `--` is none of these: it is always
positional, JSON or text. JSON may have 62 lists and maps in each other; what nests deeper is
refused, and goes as text in a JSON string if the function reads that. So is a whole number of more
than 64 bits, and one beyond 1.8e308.

A word that is a number is sent as that number, however it is written: 1.10 arrives as 1.1, 14e5 as
1400000.0. Lists and maps arrive without spaces, keys in order. Versions, prices and hashes are text
in JSON's quotes, '\"1.10\"', or by --text, which takes all values for text. Scripts write
`lanc call --text NAME -- \"$@\"`: each word arrives as it is.

A text result is printed as it is, anything else as compact JSON; --json always prints JSON.
Bytes go and come as base64 text; with --text, or base64 that happens to be a number would be one:
  base64 <FILE | tr -d '\\n' | lanc call --text echo - | base64 -d >COPY

Exit codes: 0 done, 1 the function failed, 2 usage, 3 no such function or provider, 4 timed out,
5 refused, 6 wrong or too large arguments, 7 network or peer lost, 8 some of several failed,
9 busy or going down, 10 versions or formats differ, 130 interrupted or cancelled. With --json an
error is {\"error\":{\"code\",\"name\",\"message\",\"executed\",\"retry_ms\",\"next\"}} on standard error.
Its code is the kind of error, not the exit code: no_provider is code 12, and exits with 3. Codes,
names and their exit codes are in `lanc man call`.

Examples:
  lanc call add 1 2
  lanc call plan @scene.json quality=2 --on workshop
  lanc call echo @big.json --transport tcp
  lanc call echo -- a=b
  lanc call install app --text version=1.10
  lanc call hostname --all
  lanc call lookup kitchen --idempotent --hedge
  lanc call readings kitchen --stream --timeout 1h
  lanc call render scene.blend --async --timeout 1h"
)]
pub(crate) struct CallArgs {
    /// The function.
    pub(crate) name: String,
    /// Arguments: values, k=v, @FILE, -.
    #[arg(value_name = "ARG", allow_negative_numbers = true)]
    pub(crate) args: Vec<String>,
    /// Positional arguments taken literally.
    #[arg(last = true, value_name = "LITERAL")]
    pub(crate) literal: Vec<String>,
    /// Take every value as text, and none as JSON.
    #[arg(short, long)]
    pub(crate) text: bool,
    /// Give up after this time: 500ms, 2s, 1m; `none` waits up to a day [default: 30s].
    #[arg(long, value_name = "DUR", value_parser = time_limit)]
    pub(crate) timeout: Option<Duration>,
    /// How long to look for a provider [default: 1.5s].
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
    /// Call this peer: its name, address or the first 8 digits or more of its session.
    #[arg(long, value_name = "PEER")]
    pub(crate) on: Option<String>,
    /// Ask N providers at once, 1 to 5, and take the first answer.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    #[arg(conflicts_with_all = ["on", "all", "one_way"])]
    pub(crate) fastest: Option<u8>,
    /// The function may run more than once: go on to another provider when one dies or is silent.
    #[arg(long, conflicts_with_all = ["all", "one_way", "stream"])]
    pub(crate) idempotent: bool,
    /// Ask another provider too when the answer is late, if the function may run more than once.
    #[arg(long, conflicts_with_all = ["on", "fastest", "all", "one_way", "stream"])]
    pub(crate) hedge: bool,
    /// Call every provider and print a line for each.
    #[arg(long, conflicts_with_all = ["on", "one_way"])]
    pub(crate) all: bool,
    /// Which of several providers to call.
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = Policy::Latest)]
    pub(crate) policy: Policy,
    /// Send the call and ask for no answer.
    #[arg(long)]
    pub(crate) one_way: bool,
    /// Print the values of a function that returns many as they come, one in a line.
    #[arg(long, conflicts_with_all = ["all", "one_way", "fastest"])]
    pub(crate) stream: bool,
    /// Leave the call in the background and print its id, for `lanc join`, `get` and `cancel`.
    #[arg(long = "async", hide = cfg!(not(unix)))]
    #[arg(conflicts_with_all = ["all", "one_way", "stream"])]
    pub(crate) detached: bool,
    /// How long the result of an --async call is kept for who fetches it [default: 10m].
    #[arg(long, value_name = "DUR", value_parser = positive, requires = "detached")]
    #[arg(hide = cfg!(not(unix)))]
    pub(crate) keep: Option<Duration>,
    /// What the call travels by; `auto` takes TCP for what is larger than a datagram should be.
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = Transport::Auto)]
    pub(crate) transport: Transport,
    /// What the call is written in; `auto` is MessagePack for who reads it, else JSON.
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = Codec::Auto)]
    pub(crate) codec: Codec,
}

/// Which of several providers is called.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Policy {
    /// The one that announced the function last.
    Latest,
    /// The one that has offered it longest.
    Sticky,
    /// Any, by chance.
    Random,
    /// The less loaded of two by chance.
    LeastLoaded,
}

/// What a call travels by.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Transport {
    /// UDP, and TCP for large calls and answers.
    Auto,
    /// UDP for the call, or none; an answer that fits no datagram still takes TCP.
    Udp,
    /// TCP, however small the call.
    Tcp,
}

/// What a call is written in.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum Codec {
    /// What both ends do best.
    Auto,
    /// JSON.
    Json,
    /// MessagePack.
    Msgpack,
}

fn time_limit(text: &str) -> Result<Duration, String> {
    if text == "none" {
        return Ok(Duration::MAX);
    }
    positive(text)
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Verb};

    fn call(words: &[&str]) -> CallArgs {
        let cli = Cli::try_parse_from(["lanc", "call"].iter().chain(words)).unwrap();
        match cli.verb {
            Verb::Call(call) => call,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn arguments_of_call_keep_their_place() {
        let args =
            call(&["f", "-1", "-2.5", "k=v", "-", "--timeout", "2s", "x", "--", "a=b", "-x"]);
        assert_eq!(args.args, ["-1", "-2.5", "k=v", "-", "x"]);
        assert_eq!(args.literal, ["a=b", "-x"]);
        assert_eq!(args.timeout, Some(Duration::from_secs(2)));
        assert!(!args.text && call(&["f", "-t", "1"]).text && call(&["f", "1", "--text"]).text);
        assert_eq!(call(&["f", "--timeout", "none"]).timeout, Some(Duration::MAX));
    }
}
