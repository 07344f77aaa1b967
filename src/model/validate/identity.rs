//! Rules of identities that AuthorizationPolicies name in a form of their own: service accounts and trust domains.

use super::check::Check;

/// The characters of a service account with its namespace.
const LONGEST: usize = 320;

pub(super) fn service_account(check: &mut Check, account: &str) {
    let hint = "write NAMESPACE/NAME, or NAME of the policy's namespace";
    let parts: Vec<&str> = account.split('/').collect();
    let half = parts.len() == 2 && parts.contains(&"");
    if account.contains('*') || parts.len() > 2 || half {
        check.error("", format!("{account:?} is no service account"), hint);
    } else if account.len() > LONGEST {
        check.error("", format!("the service account is longer than {LONGEST} characters"), hint);
    }
}

pub(super) fn trust_domain(check: &mut Check, domain: &str) {
    if domain.contains('/') {
        let hint = "write the trust domain alone, such as cluster.local, or use principals";
        check.error("", format!("{domain:?} is no trust domain: it has a /"), hint);
    } else {
        stars(check, domain);
    }
}

/// A trust domain in a condition, where the reference takes a `/` too.
pub(super) fn stars(check: &mut Check, domain: &str) {
    let inner = domain.strip_prefix('*').unwrap_or(domain);
    let several = domain.matches('*').count() > 1;
    if several || inner.strip_suffix('*').unwrap_or(inner).contains('*') {
        let hint = "write one * at most, first or last";
        check.error("", format!("{domain:?} has a * in its middle, or several"), hint);
    }
}
