//! Trusted peers: addresses and networks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::parse::Parsed;

/// A list of addresses and networks, or everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    everybody: bool,
    networks: Vec<Network>,
}

/// The addresses that share their first `prefix` bits with `address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Peers {
    /// Whether `address` is one of them. An IPv4 address mapped to IPv6 counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.everybody || self.networks.iter().any(|it| it.contains(address))
    }

    /// Whether the list is `*`.
    pub fn is_everybody(&self) -> bool {
        self.everybody
    }

    /// Adds an address or a network.
    pub(crate) fn add(&mut self, text: &str) -> Parsed<()> {
        self.networks.push(Network::parse(text)?);
        Ok(())
    }

    /// Whether nobody is one of them.
    pub fn is_empty(&self) -> bool {
        !self.everybody && self.networks.is_empty()
    }

    /// Addresses and networks with commas between them, or `*`. An empty text is nobody.
    pub(super) fn parse(text: &str) -> Parsed<Self> {
        let mut peers = Self::default();
        for item in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            match item {
                "*" => peers.everybody = true,
                _ => peers.add(item)?,
            }
        }
        Ok(peers)
    }
}

impl fmt::Display for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let everybody = self.everybody.then(|| "*".to_owned());
        let networks = self.networks.iter().map(Network::to_string);
        let all: Vec<_> = everybody.into_iter().chain(networks).collect();
        f.write_str(&all.join(","))
    }
}

impl Network {
    fn parse(text: &str) -> Parsed<Self> {
        let wrong = || {
            format!("addresses and networks such as 10.0.0.0/8 and ::1, or *; {text:?} is neither")
        };
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match length {
            None => Some(most),
            Some(digits) if digits.bytes().all(|it| it.is_ascii_digit()) => digits.parse().ok(),
            Some(mask) if address.is_ipv4() => prefix_of(mask),
            Some(_) => None,
        };
        let prefix = prefix.filter(|&it| it <= most).ok_or_else(wrong)?;
        let network = Self { address, prefix };
        if network.host_bits() != 0 {
            return Err(format!(
                "a network whose address has no bits beyond its first {prefix}, not {text}"
            ));
        }
        Ok(network)
    }

    fn contains(&self, address: IpAddr) -> bool {
        match (self.address.to_canonical(), address) {
            (IpAddr::V4(_), IpAddr::V4(_)) | (IpAddr::V6(_), IpAddr::V6(_)) => {
                let unlike = bits(self.address.to_canonical()) ^ bits(address);
                unlike & !self.below() == 0
            }
            _ => false,
        }
    }

    /// The bits that a network leaves to its hosts, as ones.
    fn below(&self) -> u128 {
        let width = if self.address.is_ipv4() { 32 } else { 128 };
        match width - self.prefix {
            128 => u128::MAX,
            left => (1 << left) - 1,
        }
    }

    fn host_bits(&self) -> u128 {
        bits(self.address) & self.below()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.address, self.prefix) {
            (IpAddr::V4(_), 32) | (IpAddr::V6(_), 128) => write!(f, "{}", self.address),
            _ => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u32::from(address).into(),
        IpAddr::V6(address) => address.into(),
    }
}

/// The length that a mask such as 255.255.0.0 stands for.
fn prefix_of(mask: &str) -> Option<u32> {
    let mask = u32::from(mask.parse::<Ipv4Addr>().ok()?);
    let ones = mask.leading_ones();
    (ones + mask.trailing_zeros() == 32).then_some(ones)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(list: &str, address: &str) -> bool {
        let peers = Peers::parse(list).expect(list);
        peers.contains(address.parse().expect(address))
    }

    #[test]
    fn addresses_and_networks_are_matched() {
        for (list, inside, outside) in [
            ("127.0.0.1,::1", "127.0.0.1", "127.0.0.2"),
            ("127.0.0.1,::1", "::1", "::2"),
            ("10.0.0.0/8", "10.255.1.2", "11.0.0.0"),
            ("10.0.0.0/255.0.0.0", "10.1.1.1", "9.1.1.1"),
            ("fd00::/8", "fdff::1", "fe00::1"),
            ("192.168.1.4", "::ffff:192.168.1.4", "::192.168.1.4"),
            ("0.0.0.0/0", "8.8.8.8", "::1"),
            ("::/0", "::5", "8.8.8.8"),
        ] {
            assert!(holds(list, inside), "{list} {inside}");
            assert!(!holds(list, outside), "{list} {outside}");
        }
        assert!(holds("*", "8.8.8.8") && holds("10.0.0.1,*", "::1"));
        assert!(!holds("", "127.0.0.1"));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for text in [
            "localhost",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/255.0.255.0",
            "::/255.0.0.0",
            "10.0.0.0/",
            "fd00::1/8",
        ] {
            assert!(Peers::parse(text).is_err(), "{text}");
        }
    }
}
