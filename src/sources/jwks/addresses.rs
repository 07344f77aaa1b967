//! Which addresses keys may be fetched from: whoever may write a policy must not make the control plane knock on doors
//! that are open to it alone.
//!
//! Source: Istio advisory GHSA-fgw5-hp8f-xfhc; `shared/spec/security.md` 7, 9.2.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Whether keys are fetched from addresses of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Internal {
    /// Never.
    Never,
    /// From private addresses, if the policy or another private address leads there, and not somebody outside.
    #[default]
    Named,
    /// From all of them, the machine's own included.
    Any,
}

/// What address a request is led to, and by whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Led {
    /// By a policy, or by an answer from a private address.
    Inside,
    /// By an answer from elsewhere.
    Outside,
}

/// Who may be asked.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate {
    pub(super) internal: Internal,
    pub(super) blocked: Vec<IpNet>,
}

/// Servers that tell machines of clouds their credentials, beside those with link-local addresses.
const METADATA: [IpNet; 2] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(100, 100, 100, 200), 32)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0), 32)),
];

/// Shared address space of carriers (RFC 6598), which clusters use as private.
const CARRIER: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10);

/// IPv4 addresses in IPv6 by translation (RFC 6052).
const TRANSLATED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, 0, 0), 96);

impl Gate {
    /// Why an address may not be asked; none if it may.
    pub(super) fn refusal(&self, address: IpAddr, led: Led) -> Option<String> {
        let address = plain(address);
        if is_local(address) || METADATA.iter().any(|net| net.contains(&address)) {
            return Some(format!("{address} is link-local or a metadata server, which is never asked"));
        }
        if let Some(net) = self.blocked.iter().find(|net| net.contains(&address)) {
            return Some(format!("{address} is of {net}, which BLOCKED_CIDRS_IN_JWKS_URIS lists"));
        }
        let hint = "PILOTHOUSE_JWKS_INTERNAL_ADDRESSES";
        match self.internal {
            Internal::Any => None,
            _ if is_own(address) => {
                Some(format!("{address} is this machine's own, which is not asked unless {hint} is any"))
            }
            Internal::Never if is_private(address) => {
                Some(format!("{address} is private, which is not asked while {hint} is never"))
            }
            Internal::Named if is_private(address) && led == Led::Outside => Some(format!(
                "a server outside leads to the private address {address}, which is not asked unless {hint} is any"
            )),
            _ => None,
        }
    }
}

/// Who leads on from an answer that came from this address.
pub(super) fn led_by(address: IpAddr) -> Led {
    let address = plain(address);
    if is_private(address) || is_own(address) { Led::Inside } else { Led::Outside }
}

/// The IPv4 address that an IPv6 address stands for, if it does.
fn plain(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if TRANSLATED.contains(&v6) => {
            let [.., a, b, c, d] = v6.octets();
            IpAddr::from([a, b, c, d])
        }
        plain => plain,
    }
}

/// Not to be reached over a router, or no single machine.
fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local() || v4.is_broadcast() || v4.is_multicast(),
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6.is_multicast(),
    }
}

fn is_own(address: IpAddr) -> bool {
    let zero = matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 0);
    address.is_loopback() || address.is_unspecified() || zero
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || CARRIER.contains(&v4),
        IpAddr::V6(v6) => v6.is_unique_local(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(gate: &Gate, led: Led, address: &str) -> bool {
        gate.refusal(address.parse().expect("an address"), led).is_none()
    }

    #[test]
    fn metadata_servers_and_link_local_addresses_are_never_asked() {
        let gate = Gate { internal: Internal::Any, blocked: Vec::new() };
        for address in [
            "169.254.169.254",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "fe80::1",
            "100.100.100.200",
            "fd00:ec2::254",
            "224.0.0.1",
            "255.255.255.255",
        ] {
            assert!(!asked(&gate, Led::Inside, address), "{address}");
        }
        assert!(asked(&gate, Led::Outside, "127.0.0.1"));
    }

    #[test]
    fn private_addresses_are_asked_only_if_somebody_inside_leads_there() {
        let private = ["10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1"];
        let cases =
            [(Internal::Never, false, false), (Internal::Named, true, false), (Internal::Any, true, true)];
        for (internal, inside, outside) in cases {
            let gate = Gate { internal, blocked: Vec::new() };
            for address in private {
                assert_eq!(asked(&gate, Led::Inside, address), inside, "{internal:?} {address}");
                assert_eq!(asked(&gate, Led::Outside, address), outside, "{internal:?} {address}");
            }
            for own in ["127.0.0.1", "::1", "0.0.0.0", "0.1.2.3", "::", "::ffff:127.0.0.1"] {
                assert_eq!(asked(&gate, Led::Inside, own), internal == Internal::Any, "{internal:?} {own}");
            }
            assert!(asked(&gate, Led::Outside, "203.0.113.7"));
        }
    }

    #[test]
    fn blocked_ranges_are_not_asked_whoever_leads_there() {
        let blocked = vec!["203.0.113.0/24".parse().expect("a range")];
        let gate = Gate { internal: Internal::Any, blocked };
        assert!(!asked(&gate, Led::Inside, "203.0.113.7"));
        assert!(!asked(&gate, Led::Inside, "::ffff:203.0.113.7"));
        assert!(asked(&gate, Led::Inside, "203.0.114.7"));
    }
}
