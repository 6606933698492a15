//! What each layer costs by itself, in about a minute: `cargo bench -p lanc-bench --bench layers`,
//! or a part of it by name, `-- codec`. Times are of this machine in this minute; for what a
//! change costs, count instructions.

mod codec;
mod engine;
mod frame;
mod sealing;
mod transport;

use std::time::Duration;

use divan::Divan;

/// What a row is measured for at least; an option on the command line comes before it.
const TIME: Duration = Duration::from_millis(500);

fn main() {
    Divan::default().min_time(TIME).config_with_args().main();
}
