//! Hosts on one switch.

use std::io;
use std::net::Ipv4Addr;
use std::path::Path;

use tun_rs::{DeviceBuilder, Layer, SyncDevice};

use crate::frame::Mac;
use crate::host::{Host, must};
use crate::rule::Rule;
use crate::switch::{Counts, Port, Switch};

/// The name of the hosts' interface to the switch.
const WIRE: &str = "lan";

/// Hosts whose interface `lan` leads to one switch. They know each other's Ethernet addresses, so
/// that faults meet their packets and not their address resolution.
pub struct Lab {
    /// Before the hosts: its devices are theirs.
    switch: Switch,
    hosts: Vec<Host>,
}

impl Lab {
    /// A network of so many hosts, 250 at most, without faults. Every rule of one seed draws the
    /// same. `None`, with the reason printed, where that cannot be had; a failure in CI.
    pub fn new(seed: u64, hosts: usize) -> Option<Self> {
        assert!(hosts <= 250, "{hosts} hosts do not fit the network");
        let hosts: Vec<Host> = (0..hosts).map(|_| Host::new()).collect::<Option<_>>()?;
        let port = |(number, host): (usize, &Host)| {
            let mac = mac(index(number));
            Ok(Port { device: host.within(|| tap(mac))?, mac })
        };
        let ports: io::Result<Vec<_>> = hosts.iter().enumerate().map(port).collect();
        let switch = ports.and_then(|ports| Switch::start(seed, ports));
        let lab = Self { switch: must("a switch of TAP devices", switch)?, hosts };
        for number in 0..lab.hosts.len() {
            lab.join(number);
        }
        Some(lab)
    }

    /// Gives a host its address and takes its interface into use. Also after it was down, when
    /// the neighbours' addresses are forgotten.
    pub fn join(&self, number: usize) {
        let (host, own) = (&self.hosts[number], self.address(number));
        host.ip(&format!("addr replace {own}/24 brd + dev {WIRE}"));
        // Without addresses of its own making the system keeps quiet: counts are the test's.
        host.ip(&format!("link set {WIRE} addrgenmode none up"));
        for other in (0..self.hosts.len()).filter(|other| *other != number) {
            let (address, mac) = (self.address(other), text(mac(index(other))));
            host.ip(&format!("neigh replace {address} lladdr {mac} dev {WIRE} nud permanent"));
        }
        host.wait_for(WIRE);
    }

    /// How many hosts there are.
    pub fn hosts(&self) -> usize {
        self.hosts.len()
    }

    /// A host, counted from 0.
    pub fn host(&self, number: usize) -> &Host {
        &self.hosts[number]
    }

    /// A host's address on the switch.
    pub fn address(&self, number: usize) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 0, index(number) + 1)
    }

    /// What happens on the way from one host to another from now on.
    pub fn direction(&self, from: usize, to: usize, rule: Rule) {
        self.switch.set(from, to, rule);
    }

    /// The same both ways.
    pub fn between(&self, one: usize, other: usize, rule: Rule) {
        self.direction(one, other, rule);
        self.direction(other, one, rule);
    }

    /// The same in all directions.
    pub fn everywhere(&self, rule: Rule) {
        for one in 0..self.hosts.len() {
            for other in 0..one {
                self.between(one, other, rule);
            }
        }
    }

    /// What has happened so far on the way from one host to another.
    pub fn counts(&self, from: usize, to: usize) -> Counts {
        self.switch.counts(from, to)
    }

    /// Writes what is delivered from now on to a file that Wireshark opens.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn capture(&self, path: &Path) -> io::Result<()> {
        self.switch.capture(path)
    }
}

/// Makes a device in the namespace this thread is in. It is down.
fn tap(mac: Mac) -> io::Result<SyncDevice> {
    let device = DeviceBuilder::new().name(WIRE).layer(Layer::L2).enable(false).build_sync()?;
    device.set_mac_address(mac)?;
    device.set_nonblocking(true)?;
    Ok(device)
}

fn index(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// Locally administered, and telling whose it is.
fn mac(number: u8) -> Mac {
    [2, 0, 0, 0, 0, number + 1]
}

fn text(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
