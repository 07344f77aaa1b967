//! The version of the proxy's agent, by which a few fields are gated.

/// `major.minor.patch`; what is missing or cannot be read counts as newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    /// Major.
    pub major: u16,
    /// Minor.
    pub minor: u16,
    /// Patch.
    pub patch: u16,
}

impl Version {
    /// Newer than any release.
    pub const NEWEST: Self = Self { major: u16::MAX, minor: u16::MAX, patch: u16::MAX };

    /// A given version.
    pub const fn new(major: u16, minor: u16, patch: u16) -> Self {
        Self { major, minor, patch }
    }

    /// Reads `ISTIO_VERSION`: `1.30.0`, `release-1.29`, `1.28-dev`; anything else is the newest.
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix("release-").unwrap_or(text);
        let mut parts = text.split('.');
        let (Some(major), Some(minor)) = (number(parts.next()), number(parts.next())) else {
            return Self::NEWEST;
        };
        Self { major, minor, patch: number(parts.next()).unwrap_or(u16::MAX) }
    }
}

/// The digits that `part` begins with.
fn number(part: Option<&str>) -> Option<u16> {
    let part = part?;
    let end = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
    part.get(..end)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(Version::parse("1.30.0"), Version::new(1, 30, 0));
        assert_eq!(Version::parse("release-1.29"), Version::new(1, 29, u16::MAX));
        assert_eq!(Version::parse("1.28.1-dev"), Version::new(1, 28, 1));
        assert_eq!(Version::parse(""), Version::NEWEST);
        assert_eq!(Version::parse("unknown"), Version::NEWEST);
        assert!(Version::parse("1.9.0") < Version::parse("1.10.0"));
    }
}
