//! `x-forwarded-client-cert`: client certificates that a gateway saw. Only gateways at addresses that are named count;
//! nobody is trusted for being near, neither loopback nor the same node.
//!
//! Source: Envoy, "x-forwarded-client-cert"; CVE-2022-39388 (`shared/spec/security.md` 9.2).

use ipnet::IpNet;

use crate::{Caller, Credentials, Domains, Means, Refused, Settings};

/// Which gateways are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded(Vec<IpNet>);

impl Forwarded {
    /// Those at addresses of these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(networks)
    }

    /// Who a trusted gateway says its client is; none if nobody says anything.
    pub(crate) fn authenticate(
        &self,
        credentials: &Credentials,
        settings: &Settings,
    ) -> Option<Result<Caller, Refused>> {
        let header = credentials.forwarded.as_deref().filter(|_| !self.0.is_empty())?;
        let from = credentials.address.map(|address| address.ip().to_canonical());
        if !from.is_some_and(|address| self.0.iter().any(|network| network.contains(&address))) {
            let reason =
                "x-forwarded-client-cert comes from an address that TRUSTED_GATEWAY_CIDR does not name";
            return Some(Err(Refused::new(reason)));
        }
        Some(Domains::now(settings).and_then(|domains| {
            let identity =
                uri(header)?.parse().map_err(|error: ca::Error| Refused::new(error.to_string()))?;
            Ok(Caller { identity: domains.admit(identity)?, means: Means::Forwarded, pod: None })
        }))
    }
}

/// The URI of the last element: the trusted gateway wrote that one, those before it may be its client's own words.
fn uri(header: &str) -> Result<&str, Refused> {
    let last = split(header, ',').pop().unwrap_or_default();
    let mut uris = split(last, ';').into_iter().filter_map(|pair| {
        let (key, value) = pair.trim().split_once('=')?;
        key.eq_ignore_ascii_case("uri").then(|| value.trim_matches('"'))
    });
    match (uris.next(), uris.next()) {
        (Some(uri), None) => Ok(uri),
        _ => Err(Refused::new("x-forwarded-client-cert: its last element has not exactly one URI")),
    }
}

/// The parts of a text between separators that stand outside of quotes.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            c if c == separator && !quoted => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + c.len_utf8();
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::settings;

    const WEB: &str = "By=spiffe://x;Hash=1;Subject=\"CN=a,O=b\";URI=spiffe://cluster.local/ns/shop/sa/web";

    fn ask(networks: &[&str], address: &str, header: &str) -> Option<Result<String, String>> {
        let trusted = Forwarded::new(networks.iter().map(|n| n.parse().unwrap()).collect());
        let credentials = Credentials {
            address: Some(address.parse().unwrap()),
            forwarded: Some(header.to_owned()),
            ..Credentials::default()
        };
        let answer = trusted.authenticate(&credentials, &settings())?;
        Some(answer.map(|caller| caller.identity.to_string()).map_err(|refused| refused.to_string()))
    }

    #[test]
    fn only_addresses_that_are_named_count() {
        let web = Some(Ok("spiffe://cluster.local/ns/shop/sa/web".to_owned()));
        assert_eq!(ask(&["10.1.0.0/16"], "10.1.2.3:1", WEB), web);
        assert_eq!(ask(&["10.1.0.0/16"], "[::ffff:10.1.2.3]:1", WEB), web);
        assert_eq!(ask(&[], "127.0.0.1:1", WEB), None);
        for stranger in ["127.0.0.1:1", "[::1]:1", "10.2.0.1:1"] {
            assert!(ask(&["10.1.0.0/16"], stranger, WEB).unwrap().is_err(), "{stranger}");
        }
    }

    #[test]
    fn what_a_client_wrote_before_the_gateway_does_not_count() {
        let admin = "URI=spiffe://cluster.local/ns/istio-system/sa/admin";
        let answer = ask(&["10.1.0.0/16"], "10.1.2.3:1", &format!("{admin},{WEB}"));
        assert_eq!(answer, Some(Ok("spiffe://cluster.local/ns/shop/sa/web".to_owned())));
        for header in [
            format!("{WEB};{admin}"),
            format!("Subject=\"{admin}\""),
            format!("Subject=\"a,{admin}"),
            format!("{WEB},By=x"),
            "URI=spiffe://evil.example/ns/shop/sa/web".to_owned(),
            String::new(),
        ] {
            assert!(ask(&["10.1.0.0/16"], "10.1.2.3:1", &header).unwrap().is_err(), "{header}");
        }
    }
}
