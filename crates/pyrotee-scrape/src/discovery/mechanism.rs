//! Kinds of discovery.

/// How addresses are found that the configuration does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    File,
    Http,
}

impl Mechanism {
    /// The value of the label `mechanism`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Http => "http",
        }
    }
}
