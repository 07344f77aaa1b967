//! The redirect rules of a sidecar, with the owner match that this machine allows.

/// How the rules tell the proxy's own connections from the app's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// By user and group id 1337, as in a real pod. Needs a namespace in which that id is mapped.
    Uid,
    /// By the mark [`APP_MARK`] that the app's client sockets carry, for a user namespace with a single id: there
    /// the kernel refuses rules and processes with any other id, and everybody else's sockets have no mark.
    Mark,
}

/// The user and group id of the proxy (Istio's `istio-proxy`).
pub(crate) const PROXY_ID: u32 = 1337;

/// The mark of the app's client sockets under [`Owner::Mark`].
pub(crate) const APP_MARK: u32 = 0x0a99;

/// The `nat` table in the form of `iptables-restore`: all TCP in to 15006, all TCP out to 15001, as the reference's
/// init container leaves it with its defaults (order: spec of `istio-iptables`, table nat).
pub(crate) fn rules(owner: Owner) -> String {
    let mut lines = vec![
        "*nat".to_owned(),
        ":ISTIO_INBOUND - [0:0]".to_owned(),
        ":ISTIO_REDIRECT - [0:0]".to_owned(),
        ":ISTIO_IN_REDIRECT - [0:0]".to_owned(),
        ":ISTIO_OUTPUT - [0:0]".to_owned(),
        "-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN".to_owned(),
        "-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001".to_owned(),
        "-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006".to_owned(),
        "-A PREROUTING -p tcp -j ISTIO_INBOUND".to_owned(),
    ];
    for port in NOT_CAPTURED_INBOUND {
        lines.push(format!("-A ISTIO_INBOUND -p tcp --dport {port} -j RETURN"));
    }
    lines.push("-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT".to_owned());
    lines.push("-A OUTPUT -j ISTIO_OUTPUT".to_owned());
    lines.push("-A ISTIO_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN".to_owned());
    for (proxy, app) in matches(owner) {
        lines.push(format!(
            "-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 {proxy} -j ISTIO_IN_REDIRECT"
        ));
        lines.push(format!("-A ISTIO_OUTPUT -o lo {app} -j RETURN"));
        lines.push(format!("-A ISTIO_OUTPUT {proxy} -j RETURN"));
    }
    lines.push("-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN".to_owned());
    lines.push("-A ISTIO_OUTPUT -j ISTIO_REDIRECT".to_owned());
    lines.push("COMMIT\n".to_owned());
    lines.join("\n")
}

/// Ports of the sidecar itself: metrics, health, agent.
const NOT_CAPTURED_INBOUND: [u16; 3] = [15090, 15021, 15020];

/// Pairs of (is the proxy, is not the proxy).
fn matches(owner: Owner) -> Vec<(String, String)> {
    match owner {
        Owner::Uid => ["uid", "gid"]
            .iter()
            .map(|id| {
                (format!("-m owner --{id}-owner {PROXY_ID}"), format!("-m owner ! --{id}-owner {PROXY_ID}"))
            })
            .collect(),
        Owner::Mark => {
            vec![(format!("-m mark ! --mark {APP_MARK:#x}"), format!("-m mark --mark {APP_MARK:#x}"))]
        }
    }
}
