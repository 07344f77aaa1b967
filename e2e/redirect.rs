//! The agent's redirect rules for a sidecar, with the owner match that this machine allows.

use agent::redirect::{Mode, Options, rules as agent_rules};

/// How the rules tell the proxy's own connections from the app's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// By user and group id 1337, as in a real pod. Needs a namespace in which that id is mapped.
    Uid,
    /// By the mark [`APP_MARK`] that the app's client sockets carry, for a user namespace with a single id: there
    /// the kernel refuses rules and processes with any other id, and everybody else's sockets have no mark.
    Mark,
}

/// Whose process a proxy is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ProxyUser {
    /// The proxy's own user and group, without any right of root.
    #[default]
    Own,
    /// Root in the proxy's group, as TPROXY needs it: only CAP_NET_ADMIN may take and use addresses of others.
    Root,
}

/// The user and group id of the proxy (Istio's `istio-proxy`).
pub(crate) const PROXY_ID: u32 = 1337;

/// The mark of the app's client sockets under [`Owner::Mark`].
pub(crate) const APP_MARK: u32 = 0x0a99;

/// A mark that no socket has.
const NOBODYS_MARK: u32 = 0x0a9a;

/// The rules of `options` as input of `iptables-restore --noflush`.
pub(crate) fn rules(owner: Owner, options: &Options) -> String {
    match owner {
        Owner::Uid => agent_rules(options).v4,
        // Behind TPROXY the proxy is root: rules for its user do not match it, those for its group do.
        Owner::Mark if options.mode == Mode::Tproxy => {
            marked(&marked(&agent_rules(options).v4, "uid", NOBODYS_MARK, false), "gid", APP_MARK, true)
        }
        Owner::Mark => {
            // The group's rules say the same as the user's; one mark replaces both.
            let by_user = Options { proxy_gids: Vec::new(), ..options.clone() };
            marked(&agent_rules(&by_user).v4, "uid", APP_MARK, true)
        }
    }
}

/// The rules with a mark in place of an owner's `uid` or `gid`: who has the mark is not the proxy if it is the `others`'.
fn marked(rules: &str, id: &str, mark: u32, others: bool) -> String {
    let has = |not: bool| {
        if not { format!("-m mark ! --mark {mark:#x}") } else { format!("-m mark --mark {mark:#x}") }
    };
    rules
        .replace(&format!("-m owner ! --{id}-owner {PROXY_ID}"), &has(!others))
        .replace(&format!("-m owner --{id}-owner {PROXY_ID}"), &has(others))
}

#[cfg(test)]
mod tests {
    use agent::redirect::Options;

    use super::{Owner, rules};

    #[test]
    fn the_mark_takes_the_place_of_every_owner_match() {
        let (by_id, by_mark) =
            (rules(Owner::Uid, &Options::default()), rules(Owner::Mark, &Options::default()));
        assert_eq!(by_id.matches("-m owner").count(), 6, "{by_id}");
        assert!(!by_mark.contains("owner"), "{by_mark}");
        assert_eq!(by_mark.matches("-m mark ! --mark 0xa99").count(), 2, "{by_mark}");
        assert_eq!(by_mark.matches("-m mark --mark 0xa99").count(), 1, "{by_mark}");
    }
}
