//! Nodes of this machine, where nobody can ask them: that needs Unix domain sockets.

use std::time::Duration;

use lanc::{ErrorCode, Node};

use crate::failure::Failure;
use crate::stats::Processes;

pub(crate) struct Told;

pub(crate) fn tell(_: &Node, _: bool) -> Option<Told> {
    None
}

impl Told {
    pub(crate) async fn end(self) {}
}

pub(crate) async fn rekey() -> Result<Vec<Failure>, Failure> {
    Ok(Vec::new())
}

pub(crate) async fn processes(_: Duration) -> Result<Processes, Failure> {
    let text = "the processes of this machine cannot be asked on this system";
    Err(Failure::before_call(ErrorCode::UNSUPPORTED, text)
        .hint("`lanc serve --metrics` tells the same over HTTP"))
}
