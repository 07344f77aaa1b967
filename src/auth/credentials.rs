//! What came with a request that may tell who asks.

use std::net::SocketAddr;

use http::{HeaderMap, header};

/// Where a gateway tells of the certificate that its client showed.
const FORWARDED: &str = "x-forwarded-client-cert";

/// Of a request only so many tokens are looked at: each may cost a question to an API server.
const TOKENS: usize = 2;

/// The metadata key that names the cluster of the caller.
const CLUSTER: &str = "clusterid";

/// What came with a request. Tokens are secrets: there is no `Debug`.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Where it came from.
    pub(crate) address: Option<SocketAddr>,
    /// The identities of the client certificate that the handshake verified.
    pub(crate) certificate: Vec<String>,
    /// The first tokens, without what says that they are tokens.
    pub(crate) tokens: Vec<String>,
    /// The cluster that the caller says it is in; empty if it does not say, or says two.
    pub(crate) cluster: String,
    /// Client certificates that others saw.
    pub(crate) forwarded: Option<String>,
}

impl Credentials {
    /// Of a request with these headers on a connection from `address`, whose client certificate, if there is one, was
    /// verified to be of these identities.
    pub fn of(address: Option<SocketAddr>, certificate: &[String], headers: &HeaderMap) -> Self {
        let texts = |name: &str| -> Vec<String> {
            headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect()
        };
        let bearer = |text: String| text.strip_prefix("Bearer ").map(str::to_owned);
        let mut clusters = headers.get_all(CLUSTER).iter();
        let cluster = match (clusters.next(), clusters.next()) {
            (Some(only), None) => only.to_str().unwrap_or("\u{fffd}").to_owned(),
            _ => String::new(),
        };
        Self {
            address,
            certificate: certificate.to_vec(),
            tokens: texts(header::AUTHORIZATION.as_str())
                .into_iter()
                .filter_map(bearer)
                .take(TOKENS)
                .collect(),
            cluster,
            forwarded: texts(FORWARDED).into_iter().next(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(headers: &[(&'static str, &'static str)]) -> Credentials {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        Credentials::of(None, &[], &map)
    }

    #[test]
    fn tokens_are_what_follows_the_exact_word() {
        let given = of(&[
            ("authorization", "Basic YQ=="),
            ("authorization", "Bearer one"),
            ("authorization", "bearer two"),
            ("authorization", "Bearer three"),
            ("authorization", "Bearer four"),
        ]);
        assert_eq!(given.tokens, ["one", "three"]);
    }

    #[test]
    fn a_cluster_that_is_named_twice_is_not_named() {
        assert_eq!(of(&[("clusterid", "east")]).cluster, "east");
        assert_eq!(of(&[("clusterid", "east"), ("clusterid", "west")]).cluster, "");
        assert_eq!(of(&[]).cluster, "");
    }
}
