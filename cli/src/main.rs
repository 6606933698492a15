//! The `lanc` command; its parts are in the library beside it, where tests reach them.

use std::process::ExitCode;

fn main() -> ExitCode {
    lanc_cli::main()
}
