//! The command line of `lanc key` and `lanc pair`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

/// Verbs of `key`.
#[derive(Subcommand, Debug)]
pub(crate) enum KeyVerb {
    /// Make a new key.
    #[command(after_help = "Examples:
  lanc key new lan.key
  lanc key new --store")]
    New {
        /// Write it there; the file must not be there yet.
        #[arg(required_unless_present = "store")]
        file: Option<PathBuf>,
        /// Store it for every node of this user, with no option.
        #[arg(long)]
        store: bool,
    },
    /// Store a key from a file for every node of this user, with no option.
    Store {
        /// The key file.
        file: PathBuf,
    },
    /// Show which keys are stored, or which one is in a file.
    #[command(
        after_help = "Without a file it says as well how many peers are remembered, and where. `lanc serve` with a
stored key notes the addresses and names of peers that it meets on other hosts, 64 at most and for
30 days; nodes with a stored key contact them when they start. Remove the file to forget them.
--no-discovery and --iface lo neither note nor contact them."
    )]
    Show {
        /// The key file.
        file: Option<PathBuf>,
        /// Print the secret itself, 64 hex digits: whoever sees it is one of you.
        #[arg(long)]
        secret: bool,
    },
    /// Exchange the stored key for another, while nodes run.
    #[command(after_help = "In three steps, each on every machine before the next:
  lanc key new new.key               once; copy new.key to the other machines
1 lanc key rotate new.key            nodes open both keys, and seal under the old one
2 lanc key rotate --primary ID       nodes seal under the new one, and still open the old one
3 lanc key rotate --remove OLD       when `lanc key rotate` shows that nobody needs it any more
Nodes that run with the stored key follow at once; start all others anew.")]
    Rotate {
        /// Open the key of this file, too.
        #[arg(group = "change")]
        file: Option<PathBuf>,
        /// Seal under this stored key.
        #[arg(long, value_name = "ID", group = "change")]
        primary: Option<String>,
        /// Open this stored key no more. The last one goes only with --open.
        #[arg(long, value_name = "ID", group = "change")]
        remove: Option<String>,
    },
    /// Make the key of a service from this node's: whoever has only that learns nothing of yours.
    #[command(after_help = "Examples:
  lanc key derive render --out render.key
  lanc key derive render --key-file root.key")]
    Derive {
        /// The service.
        service: String,
        /// Write it to a new file; without, it is printed as 64 hex digits.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Options of `pair`.
#[derive(Args, Debug)]
#[command(
    after_help = "Without a code it gives: it shows one, which is good for one try and ten minutes, and hands
this machine's key to whoever types it, a new key if there is none. With a code it takes: the
key is stored, and from then on nodes of this user use it. A wrong code gives nothing and ends
it on both machines. UDP on the port above the discovery port (5128) is open while it runs.

Example:
  lanc pair                  on the machine that has the key
  lanc pair 42-483-9127      on the other, with the code that the first one shows"
)]
pub(crate) struct PairArgs {
    /// What `lanc pair` shows on the other machine.
    pub(crate) code: Option<String>,
    /// How long to look for the other machine [default: 30s].
    #[arg(long, value_name = "DUR", value_parser = super::positive, requires = "code")]
    pub(crate) wait: Option<Duration>,
}
