//! Who a proxy was proved to be: the identities of its peer against what its node says.
//!
//! Source: Istio `pilot/pkg/xds/auth.go`; `shared/spec/security.md` 3.

/// The service account of an identity `spiffe://<trust domain>/ns/<namespace>/sa/<service account>` that fits a node: of this
/// namespace, and of this service account unless the node names none. The trust domain was judged with the certificate or
/// token.
pub fn service_account<'a>(
    identities: &'a [String],
    namespace: &str,
    service_account: &str,
) -> Option<&'a str> {
    let fits = |identity: &'a String| {
        let Identity { namespace: of, account } = Identity::parse(identity)?;
        let same = of == namespace && (service_account.is_empty() || account == service_account);
        same.then_some(account)
    };
    identities.iter().find_map(fits)
}

/// What an identity of the mesh says, once it was proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The namespace.
    pub namespace: &'a str,
    /// The service account.
    pub account: &'a str,
}

impl<'a> Identity<'a> {
    /// Reads `spiffe://<trust domain>/ns/<namespace>/sa/<service account>`; none of any other form.
    pub fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.strip_prefix("spiffe://")?.split('/');
        let [domain, ns, namespace, sa, account] = [(); 5].map(|()| parts.next().unwrap_or_default());
        let whole = parts.next().is_none() && ![domain, namespace, account].contains(&"");
        (whole && ns == "ns" && sa == "sa").then_some(Self { namespace, account })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_counts_that_fits_what_the_node_says() {
        let identities =
            ["https://x", "spiffe://td/ns/a/sa/one", "spiffe://td/ns/b/sa/two"].map(str::to_owned);
        let account = |namespace, name| service_account(&identities, namespace, name);
        assert_eq!(account("b", "two"), Some("two"));
        assert_eq!(account("b", ""), Some("two"), "a node that names no account");
        assert_eq!((account("b", "one"), account("c", ""), account("", "")), (None, None, None));
    }

    #[test]
    fn what_is_not_wholly_an_identity_is_none() {
        for text in [
            "spiffe://td/ns/a/sa/",
            "spiffe:///ns/a/sa/x",
            "spiffe://td/ns//sa/x",
            "spiffe://td/ns/a/sa/x/y",
            "spiffe://td/sa/a/ns/x",
            "spiffe://td/ns/a",
            "SPIFFE://td/ns/a/sa/x",
            "",
        ] {
            assert_eq!(Identity::parse(text), None, "{text}");
        }
    }
}
