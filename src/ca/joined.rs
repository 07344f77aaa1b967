//! Bundles of roots from several places as one.

use crate::Error;
use crate::bundle::without;

/// The first bundle, byte for byte, and behind it the certificates of the others that are not in it, each once.
///
/// # Errors
/// [`Error::Refused`] naming `trust anchors` or `root certificate` when one of them cannot be read.
pub fn join_roots<'a>(first: &str, others: impl Iterator<Item = &'a str>) -> Result<String, Error> {
    let added = without(first, others)?;
    let mut all = first.to_owned();
    if !(added.is_empty() || all.is_empty() || all.ends_with('\n')) {
        all.push('\n');
    }
    all.push_str(&added);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::Root;

    fn root(name: &str) -> String {
        Root::generate(name, SystemTime::UNIX_EPOCH).unwrap().cert_pem().to_owned()
    }

    #[test]
    fn the_first_stays_as_it_is_and_each_other_comes_once() {
        let (one, two) = (root("one"), root("two"));
        let odd = format!("# of the operator\r\n{}", one.trim_end());
        let join = |first: &str, others: &[&str]| join_roots(first, others.iter().copied()).unwrap();
        assert_eq!(join(&odd, &[&one, ""]), odd);
        assert_eq!(join(&odd, &[&two, &one, &two]), format!("{odd}\n{two}"));
        assert_eq!(join("", &[&two, &two]), two);
        assert!(join_roots(&one, ["-----BEGIN CERTIFICATE-----\n!"].into_iter()).is_err());
    }
}
