//! What the switch must know of an Ethernet frame.

use fastrand::Rng;

/// An Ethernet address.
pub(crate) type Mac = [u8; 6];

/// Length of the Ethernet header.
const HEADER: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;

/// Where the frame goes. `None`: it is cut short.
pub(crate) fn destination(frame: &[u8]) -> Option<Mac> {
    frame.first_chunk::<6>().filter(|_| frame.len() >= HEADER).copied()
}

/// Whether it is for everybody: broadcast or multicast.
pub(crate) fn is_for_all(mac: Mac) -> bool {
    mac[0] & 1 == 1
}

/// Whether it carries an IP packet.
pub(crate) fn is_ip(frame: &[u8]) -> bool {
    frame.get(12..HEADER).is_some_and(|kind| kind == IPV4 || kind == IPV6)
}

/// Flips one bit of the data of a UDP datagram over IPv4, and takes its checksum out. `false`: it
/// is none, and nothing was changed.
pub(crate) fn spoil(frame: &mut [u8], dice: &mut Rng) -> bool {
    let Some(at) = udp(frame) else { return false };
    let Some((header, data)) =
        frame.get_mut(at..).and_then(|rest| rest.split_at_mut_checked(UDP_HEADER))
    else {
        return false;
    };
    if data.is_empty() {
        return false;
    }
    header[6..8].fill(0);
    data[dice.usize(..data.len())] ^= 1 << dice.u8(..8);
    true
}

/// Where the UDP header begins.
fn udp(frame: &[u8]) -> Option<usize> {
    let ip = frame.get(HEADER..).filter(|_| frame.get(12..HEADER) == Some(&IPV4))?;
    let length = usize::from(ip.first()? & 0x0f) * 4;
    (*ip.get(9)? == UDP && length >= 20).then_some(HEADER + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(data: &[u8]) -> Vec<u8> {
        let mut frame = [[0xff; 6], [2, 0, 0, 0, 0, 1]].concat();
        frame.extend(IPV4);
        let mut ip = [0; 20];
        (ip[0], ip[9]) = (0x45, UDP);
        frame.extend(ip);
        frame.extend([1, 2, 3, 4, 0, 12, 0xab, 0xcd]);
        frame.extend(data);
        frame
    }

    #[test]
    fn one_bit_of_the_data_is_spoiled_and_the_checksum_gone() {
        let (whole, mut spoiled) = (datagram(b"data"), datagram(b"data"));
        assert!(spoil(&mut spoiled, &mut Rng::with_seed(1)));
        assert_eq!(spoiled[..40], whole[..40]);
        assert_eq!(spoiled[40..42], [0, 0]);
        let bits = spoiled[42..].iter().zip(b"data").map(|(a, b)| (a ^ b).count_ones());
        assert_eq!(bits.sum::<u32>(), 1);
    }

    #[test]
    fn what_is_no_datagram_is_left_alone() {
        let mut dice = Rng::with_seed(1);
        let mut other = datagram(b"data");
        other[23] = 6;
        for mut frame in
            [Vec::new(), vec![0; 13], datagram(b""), other, datagram(b"x")[..40].to_vec()]
        {
            let before = frame.clone();
            assert!(!spoil(&mut frame, &mut dice));
            assert_eq!(frame, before);
        }
    }

    #[test]
    fn the_header_tells_where_it_goes() {
        let frame = datagram(b"");
        assert_eq!(destination(&frame), Some([0xff; 6]));
        assert_eq!(destination(&frame[..13]), None);
        assert!(is_for_all([0xff; 6]) && is_for_all([1, 0, 0x5e, 0, 0, 1]));
        assert!(!is_for_all([2, 0, 0, 0, 0, 1]));
        assert!(is_ip(&frame));
        let mut arp = frame;
        arp[13] = 6;
        assert!(!is_ip(&arp));
    }
}
