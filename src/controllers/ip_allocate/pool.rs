//! Addresses of one prefix, one after another.

use std::net::IpAddr;

use ipnet::IpNet;

/// A prefix, and which of its addresses is tried next.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    prefix: IpNet,
    next: IpAddr,
}

impl Pool {
    /// Begins after the network's own address.
    pub(super) fn new(prefix: IpNet) -> Self {
        let prefix = prefix.trunc();
        Self { prefix, next: first(prefix) }
    }

    /// The next address that nobody uses, round and round; none if all are used.
    pub(super) fn take(&mut self, used: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
        let start = self.next;
        loop {
            let address = self.next;
            let next = following(address).filter(|next| self.prefix.contains(next));
            self.next = next.unwrap_or_else(|| first(self.prefix));
            // A prefix of one address has none after the network's own.
            if self.prefix.contains(&address) && !used(&address) {
                return Some(address);
            }
            if self.next == start {
                return None;
            }
        }
    }

    /// Whether both are of one family.
    pub(super) fn is_of(&self, address: &IpAddr) -> bool {
        self.prefix.addr().is_ipv4() == address.is_ipv4()
    }

    /// The prefix.
    pub(super) fn prefix(&self) -> IpNet {
        self.prefix
    }
}

fn first(prefix: IpNet) -> IpAddr {
    let network = prefix.network();
    following(network).unwrap_or(network)
}

fn following(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => address.to_bits().checked_add(1).map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(address) => address.to_bits().checked_add(1).map(|bits| IpAddr::V6(bits.into())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn pool(prefix: &str) -> Pool {
        Pool::new(prefix.parse().expect("a prefix"))
    }

    #[test]
    fn addresses_come_one_after_another_round_and_round() {
        let mut pool = pool("10.0.0.4/30");
        let mut used: BTreeSet<IpAddr> = BTreeSet::from(["10.0.0.6".parse().expect("an address")]);
        let mut take = |used: &BTreeSet<IpAddr>| pool.take(|a| used.contains(a)).map(|a| a.to_string());
        assert_eq!(take(&used).as_deref(), Some("10.0.0.5"));
        assert_eq!(take(&used).as_deref(), Some("10.0.0.7"));
        assert_eq!(take(&used).as_deref(), Some("10.0.0.5"), "nobody kept it");
        used.extend(["10.0.0.5", "10.0.0.7"].map(|a| a.parse::<IpAddr>().expect("an address")));
        assert_eq!(take(&used), None);
        used.remove(&"10.0.0.6".parse::<IpAddr>().expect("an address"));
        assert_eq!(take(&used).as_deref(), Some("10.0.0.6"));
    }

    #[test]
    fn the_ends_of_the_address_space_are_no_end() {
        assert_eq!(pool("255.255.255.255/32").take(|_| true), None);
        assert_eq!(pool("240.240.7.0/16").take(|_| false), Some("240.240.0.1".parse().expect("an address")));
        assert_eq!(pool("2001:2::/48").take(|_| false), Some("2001:2::1".parse().expect("an address")));
        let all: Vec<Option<IpAddr>> = vec![None; 3];
        let mut last = pool("ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe/127");
        assert_eq!((0..3).map(|_| last.take(|_| true)).collect::<Vec<_>>(), all);
    }
}
