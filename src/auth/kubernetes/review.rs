//! What the API server's answer about a token means.

use super::Reviewed;
use crate::BoundPod;
use crate::token::account;

/// The group that all service accounts are in.
const GROUP: &str = "system:serviceaccounts";

/// Namespace and name of the service account, and the pod that the token is bound to.
///
/// # Errors
/// The token is not good, or for nobody who may ask here.
pub(super) fn judge(
    answer: Reviewed,
    audiences: &[String],
) -> Result<(String, String, Option<BoundPod>), String> {
    if !answer.error.is_empty() {
        return Err(format!("the API server says: {}", answer.error));
    }
    if !answer.authenticated {
        return Err("the API server does not know it".to_owned());
    }
    if !answer.groups.iter().any(|group| group == GROUP) {
        return Err(format!("{:?} is no service account", answer.user));
    }
    // A server that knows nothing of audiences says none: it must not be taken for one that looked at them.
    if !answer.audiences.iter().any(|audience| audiences.contains(audience)) {
        return Err(format!("the API server does not say that it is for one of {audiences:?}"));
    }
    let (namespace, name) = account(&answer.user)?;
    Ok((namespace.to_owned(), name.to_owned(), answer.pod))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Reviewed {
        Reviewed {
            error: String::new(),
            authenticated: true,
            audiences: vec!["istio-ca".to_owned()],
            user: "system:serviceaccount:shop:web".to_owned(),
            groups: vec!["system:serviceaccounts".to_owned(), "system:authenticated".to_owned()],
            pod: None,
        }
    }

    #[test]
    fn all_of_the_answer_counts() {
        let judge = |answer| judge(answer, &["istio-ca".to_owned()]);
        assert_eq!(judge(good()), Ok(("shop".to_owned(), "web".to_owned(), None)));
        for bad in [
            Reviewed { error: "no".to_owned(), ..good() },
            Reviewed { authenticated: false, ..good() },
            Reviewed { audiences: Vec::new(), ..good() },
            Reviewed { audiences: vec!["https://kubernetes".to_owned()], ..good() },
            Reviewed { groups: vec!["system:authenticated".to_owned()], ..good() },
            Reviewed { user: "system:serviceaccount:shop".to_owned(), ..good() },
            Reviewed { user: "admin".to_owned(), ..good() },
        ] {
            assert!(judge(bad.clone()).is_err(), "{bad:?}");
        }
    }
}
