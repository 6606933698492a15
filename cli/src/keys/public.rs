//! Open mode on an address that the whole internet reaches.

use std::net::{IpAddr, Ipv4Addr};

use lanc::{Reach, UdpConfig};

use crate::failure::Failure;

/// Refuses open mode where a chosen interface has an IPv4 address that is routed globally.
///
/// # Errors
/// The refusal. Interfaces that cannot be looked at are refused where they are opened.
pub(crate) fn refuse_public(udp: &UdpConfig) -> Result<(), Failure> {
    let Ok(reach) = Reach::of(udp) else { return Ok(()) };
    let public = reach.addresses().iter().find_map(|address| match address {
        IpAddr::V4(v4) if is_global(*v4) => Some(*v4),
        _ => None,
    });
    let Some(address) = public else { return Ok(()) };
    let text = format!(
        "{address} is an address of the internet, and open mode would let anyone there call this \
         node"
    );
    let next = "give a key (`lanc key new FILE`, `lanc pair`), choose another interface by --iface, \
                or insist by --open-on-public";
    Err(Failure::usage(text, next))
}

/// Whether it is routed globally, by the IANA special-purpose address registry (RFC 6890). Networks
/// for documentation and benchmarks count as global: whoever uses them does not use them as such.
fn is_global(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    // Carriers' own network (RFC 6598), and protocol assignments.
    let is_shared = a == 100 && (64..128).contains(&b);
    let is_assigned = (a, b, c) == (192, 0, 0);
    let is_local = ip.is_private() || ip.is_loopback() || ip.is_link_local();
    let is_none = a == 0 || ip.is_multicast() || a >= 240;
    !(is_local || is_shared || is_assigned || is_none)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_the_internet_are_global() {
        for (text, global) in [
            ("8.8.8.8", true),
            ("100.63.255.255", true),
            ("100.128.0.1", true),
            ("172.15.0.1", true),
            ("172.32.0.1", true),
            ("192.0.1.1", true),
            ("192.169.0.1", true),
            ("223.255.255.254", true),
            ("10.0.0.1", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("169.254.1.1", false),
            ("172.16.0.1", false),
            ("172.31.255.255", false),
            ("192.0.0.8", false),
            ("192.168.1.4", false),
            ("0.0.0.0", false),
            ("224.0.0.1", false),
            ("255.255.255.255", false),
        ] {
            assert_eq!(is_global(text.parse().unwrap()), global, "{text}");
        }
    }
}
