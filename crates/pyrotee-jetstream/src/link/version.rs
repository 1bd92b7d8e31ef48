//! Versions of NATS.

use std::fmt;

/// The oldest supported version, major and minor.
const OLDEST: (u32, u32) = (2, 10);

/// The version of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version(String);

impl Version {
    /// A version as the server tells it.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether the backend is tested with this version. A version that cannot be read is not.
    pub(crate) fn is_supported(&self) -> bool {
        let mut numbers = self.0.split('.').map(str::parse::<u32>);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= OLDEST,
            _ => false,
        }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_from_2_10_on_are_supported() {
        for version in ["2.10.0", "2.10.22-beta.1", "2.15.3", "3.0.0"] {
            assert!(Version::new(version).is_supported(), "{version}");
        }
        for version in ["2.9.10", "1.20.0", "", "dev"] {
            assert!(!Version::new(version).is_supported(), "{version}");
        }
    }
}
