//! The command line: verbs, options, and their help.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::{duration, metrics};

mod call;
mod given;
mod keys;

pub(crate) use call::{CallArgs, Codec, Policy, Transport};
pub(crate) use keys::{KeyVerb, PairArgs};

/// Call functions of other machines on your network by name.
#[derive(Parser, Debug)]
#[command(name = "lanc", version, max_term_width = 100, propagate_version = true)]
#[command(after_help = "Try it on this machine alone:
  lanc demo
  lanc serve --demo --iface lo &
  lanc call --iface lo add 1 2

Settings come from, first wins: options, LANC_* variables, lanc.toml of the project,
the user's lanc/config.toml, defaults. `lanc man` lists every variable and every key; exit
codes are listed in `lanc call --help`.")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) verb: Verb,
    /// Which network, which settings.
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
    /// How to tell.
    #[command(flatten)]
    pub(crate) output: OutputArgs,
}

/// Options of every verb that opens a node.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// Network interface to use; `lo` keeps everything on this machine. Repeatable.
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) iface: Vec<String>,
    /// Local address to bind.
    #[arg(long, global = true, value_name = "ADDR")]
    pub(crate) bind: Option<IpAddr>,
    /// Discovery port that all nodes share [default: 5127].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: Option<u16>,
    /// Port that this node sends from and is contacted at [default: any free one].
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) private_port: Option<u16>,
    /// A peer to contact directly, ADDR:PORT or a name from [peers] in the configuration. Repeatable.
    #[arg(long, global = true, value_name = "PEER")]
    pub(crate) peer: Vec<String>,
    /// Neither broadcast nor listen to broadcasts: only configured peers are known.
    #[arg(long, global = true)]
    pub(crate) no_discovery: bool,
    /// Compress what is larger than 1 KiB, to peers that read it: for networks slower than 1 Gb/s.
    #[arg(long, global = true)]
    pub(crate) compress: bool,
    /// Read this configuration file, and neither the project's nor the user's.
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Seal everything with the key in this file, and hear only who holds it.
    #[arg(long, global = true, value_name = "FILE", help_heading = KEYS)]
    #[arg(conflicts_with_all = ["passphrase", "open"])]
    pub(crate) key_file: Option<PathBuf>,
    /// The same with a passphrase, which is asked for at the terminal.
    #[arg(long, global = true, help_heading = KEYS, conflicts_with = "open")]
    pub(crate) passphrase: bool,
    /// The group the passphrase is for: other names make other keys of it.
    #[arg(long, global = true, value_name = "NAME", help_heading = KEYS, default_value = GROUP)]
    #[arg(requires = "passphrase")]
    pub(crate) group: String,
    /// Stay without a key, in spite of a stored or configured one.
    #[arg(long, global = true, help_heading = KEYS)]
    pub(crate) open: bool,
    /// Be open even where the whole internet can reach this node.
    #[arg(long, global = true, help_heading = KEYS)]
    pub(crate) open_on_public: bool,
}

/// The heading of options about keys.
const KEYS: &str = "Keys";

/// The group of a passphrase that names none.
const GROUP: &str = "lanc";

/// Options of every verb.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Output")]
pub(crate) struct OutputArgs {
    /// Print data and errors as JSON.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Log more on standard error; twice for everything.
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Log errors only.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub(crate) quiet: bool,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    /// Offer functions to the network until interrupted.
    Serve(ServeArgs),
    /// Call a function and print its result.
    Call(CallArgs),
    /// Wait for a call in the background and print its result.
    #[command(hide = cfg!(not(unix)))]
    #[command(
        after_help = "Prints what `lanc call` would have printed, and exits with the same code. The call goes on
when this is interrupted, or gives up because the process in the background says nothing for 5 s
(it was stopped, say). Once it is printed the result is kept no longer: it can be fetched once.
Where standard output is closed it is kept for another try.

Example:
  id=$(lanc call render scene.blend --async --timeout 1h)
  lanc join $id"
    )]
    Join(JobArgs),
    /// Print the result of a call in the background if it is there; exit code 4 if not.
    #[command(hide = cfg!(not(unix)))]
    #[command(
        after_help = "A result can be fetched once, by this or by `lanc join`: once it is printed it is kept no longer.
The exit code is that of the call; a call that was cancelled exits with 130, as an interrupted one."
    )]
    Get(JobArgs),
    /// Give up a call in the background; says whether the function may have run.
    #[command(hide = cfg!(not(unix)))]
    Cancel(JobArgs),
    /// List the calls in the background.
    #[command(hide = cfg!(not(unix)))]
    Jobs,
    /// List the nodes that are there.
    Peers(PeersArgs),
    /// List the functions that are offered, and by whom.
    Functions(FunctionsArgs),
    /// Measure the round trip to a node.
    Ping(PingArgs),
    /// Show what the nodes that serve on this machine have counted.
    #[command(hide = cfg!(not(unix)))]
    #[command(
        after_help = "Every number is explained in docs/statistics.md. --json prints one object in a line for each
process. One that lives and says nothing for 5 s is an error that names it, after what others say.

Examples:
  lanc stats
  lanc stats workshop --json"
    )]
    Stats(StatsArgs),
    /// Show peers, functions, calls, latency and drops, live.
    Top(TopArgs),
    /// Make, store and exchange keys; who holds the same key is a network of its own.
    #[command(subcommand)]
    Key(KeyVerb),
    /// Share a key with another machine by a short code.
    Pair(PairArgs),
    /// Show two nodes on this machine find and call each other.
    Demo,
    /// Print a completion script for a shell.
    #[command(after_help = "Example:
  lanc completions bash > ~/.local/share/bash-completion/completions/lanc")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page of the command, or of one verb.
    #[command(
        after_help = "The page of the command lists every LANC_* variable and every key of lanc.toml.

On a terminal `man` shows it, where there is one.

Examples:
  lanc man call
  lanc man > ~/.local/share/man/man1/lanc.1
  lanc man call > ~/.local/share/man/man1/lanc-call.1
  lanc man key rotate > ~/.local/share/man/man1/lanc-key-rotate.1"
    )]
    Man {
        /// Which verb, in one word or two.
        verb: Vec<String>,
    },
}

/// Options of `serve`.
#[derive(Args, Debug)]
#[command(
    after_help = "Prints one line `ready ADDR:PORT` on standard output once it serves; logs go to standard
error. The first Ctrl-C lets running functions finish, for at most 5 s, and says farewell: it exits
with 0, and logs how many were cut off if any were. The second only says farewell, and exits with
130.

Programs of --cmd are run without a shell. The template is split into words once, quotes
honoured; then {0}, {1}.. and {name} are replaced inside single words by the call's arguments,
so an argument is never more than text. {{0}} stands for {0} itself. Write `--` before a
placeholder where the program would take an argument for an option. The program's output is the
result: JSON if it parses, else text; a number that JSON writes otherwise (1.10, 14e5) stays text.
It is UTF-8, at most 1 MiB, and has 63 lists and maps in each other. The system bounds arguments, Linux to 128 KiB each: a call with more is refused as too large before
the program starts. Larger ones go in parts, or to a function in Rust. Exit codes other than 0 are
failures of the function. A program that is not there, or cannot be executed, is refused at the
start.

Examples:
  lanc serve --demo
  lanc serve --demo --metrics
  lanc serve --name workshop --cmd disk='df -h {0}' --cmd size='stat -c %s -- {path}'"
)]
pub(crate) struct ServeArgs {
    /// Offer add(a, b), echo(value), sleep(ms) and fail(message), to try things out.
    #[arg(long)]
    pub(crate) demo: bool,
    /// Offer a program as function NAME. Repeatable.
    #[arg(long, value_name = "NAME=PROGRAM")]
    pub(crate) cmd: Vec<String>,
    /// This node's name, for people and for `call --on` [default: host name and four digits].
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// Serve statistics to Prometheus at http://ADDR:PORT/metrics [default: 127.0.0.1:9127].
    #[arg(long, value_name = "ADDR:PORT", num_args = 0..=1, default_missing_value = metrics::DEFAULT, value_parser = metrics::address)]
    pub(crate) metrics: Option<SocketAddr>,
}

/// Options of `join`, `get` and `cancel`.
#[derive(Args, Debug)]
pub(crate) struct JobArgs {
    /// What `call --async` printed, or its first 8 digits or more.
    #[arg(value_name = "EXE_ID")]
    pub(crate) id: String,
}

/// Options of `peers`.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  lanc peers --wait 5s")]
pub(crate) struct PeersArgs {
    /// How long to listen before the list is printed [default: 1.5s].
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
}

/// Options of `functions`.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  lanc functions
  lanc functions add --json")]
pub(crate) struct FunctionsArgs {
    /// Show this function only.
    pub(crate) name: Option<String>,
    /// How long to listen before the list is printed [default: 1.5s].
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
}

/// Options of `ping`.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  lanc ping workshop --count 10")]
pub(crate) struct PingArgs {
    /// Its name, address or the first 8 digits or more of its session.
    #[arg(value_name = "PEER")]
    pub(crate) whom: String,
    /// How many pings.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    pub(crate) count: u16,
    /// How long to look for the peer [default: 1.5s].
    #[arg(long, value_name = "DUR", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
}

/// Options of `stats`.
#[derive(Args, Debug)]
pub(crate) struct StatsArgs {
    /// The node of this name only.
    pub(crate) name: Option<String>,
    /// This process only.
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Option<u32>,
}

/// Options of `top`.
#[derive(Args, Debug)]
#[command(
    after_help = "Rates and latencies are those of the last five seconds. Without a terminal it prints once.

Examples:
  lanc top
  lanc top --once --json"
)]
pub(crate) struct TopArgs {
    /// Print what there is and end.
    #[arg(long)]
    pub(crate) once: bool,
}

/// Whether words that make no command line ask for errors as JSON all the same.
pub(crate) fn want_json(words: impl Iterator<Item = OsString>) -> bool {
    words.take_while(|word| word != "--").any(|word| word == "--json")
}

fn positive(text: &str) -> Result<Duration, String> {
    match duration::parse(text)? {
        Duration::ZERO => Err("it must be longer than nothing".to_owned()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn network_options_stand_before_or_behind_the_verb() {
        for words in [["lanc", "--iface", "lo", "peers"], ["lanc", "peers", "--iface", "lo"]] {
            assert_eq!(Cli::try_parse_from(words).unwrap().network.iface, ["lo"]);
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for words in [
            &["call", "f", "--all", "--one-way"][..],
            &["call", "f", "--fastest", "2", "--on", "x"],
            &["call", "f", "--stream", "--all"],
            &["call", "f", "--stream", "--fastest", "2"],
            &["call", "f", "--fastest", "0"],
            &["call", "f", "--fastest", "6"],
            &["call", "f", "--hedge", "--on", "x"],
            &["call", "f", "--hedge", "--fastest", "2"],
            &["call", "f", "--idempotent", "--stream"],
            &["call", "f", "--timeout", "0"],
            &["call", "f", "--async", "--all"],
            &["call", "f", "--async", "--one-way"],
            &["call", "f", "--async", "--stream"],
            &["call", "f", "--keep", "1m"],
            &["call", "f", "--async", "--keep", "0"],
            &["call", "f", "--transport", "pigeon"],
            &["call", "f", "--codec", "xml"],
            &["peers", "--port", "0"],
            &["peers", "-q", "-v"],
            &["ping", "x", "--count", "0"],
            &["ping", "x", "--count", "10001"],
            &["peers", "--open", "--key-file", "x"],
            &["peers", "--passphrase", "--key-file", "x"],
            &["peers", "--passphrase", "--open"],
            &["peers", "--group", "x"],
            &["key", "new"],
            &["key", "rotate", "x", "--remove", "y"],
            &["pair", "--wait", "1s"],
        ] {
            let all = std::iter::once(&"lanc").chain(words);
            assert!(Cli::try_parse_from(all).is_err(), "{words:?}");
        }
    }
}
