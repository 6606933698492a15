//! The transport contract, for both kinds of memory network.

use lanc_core::ports::Transport;
use lanc_transport_memory::MemoryNetwork;

fn on(network: &MemoryNetwork, nodes: usize) -> Vec<Box<dyn Transport>> {
    (0..nodes).map(|_| Box::new(network.transport()) as Box<dyn Transport>).collect()
}

mod datagrams {
    use super::*;

    lanc_testkit::transport_contract!(|nodes| on(&MemoryNetwork::new(), nodes));
}

mod connections {
    use super::*;

    lanc_testkit::transport_contract!(|nodes| on(&MemoryNetwork::new().connected(), nodes));
}
