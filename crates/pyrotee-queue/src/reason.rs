//! Why a record was lost: a closed list, the `reason` label of every drop counter.

/// The reason of a drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The target's queue was full, in records or bytes.
    QueueFull,
    /// The spool was full.
    SpoolFull,
    /// The global memory budget was spent.
    Budget,
    /// The body is larger than `tee.max-body`.
    TooLarge,
    /// The profile's name cannot be parsed, so that no tag can be added.
    InvalidName,
    /// The body cannot be decoded, so that no tag can be added.
    Undecodable,
    /// Older than the target's `max-age`.
    Expired,
    /// The target refused this very profile.
    Rejected,
    /// The upload may or may not have arrived, and may not be repeated.
    Ambiguous,
    /// The upload failed.
    UploadFailed,
    /// A client's repetition of a profile that was teed already.
    Duplicate,
    /// Damaged on disk.
    Corrupt,
    /// The disk failed.
    DiskError,
    /// Still pending when the relay had to stop.
    Shutdown,
    /// The target left the configuration.
    TargetRemoved,
    /// An operator's command.
    Admin,
}

impl Reason {
    /// Every reason, in the order of the ledger.
    pub const ALL: [Self; 16] = [
        Self::QueueFull,
        Self::SpoolFull,
        Self::Budget,
        Self::TooLarge,
        Self::InvalidName,
        Self::Undecodable,
        Self::Expired,
        Self::Rejected,
        Self::Ambiguous,
        Self::UploadFailed,
        Self::Duplicate,
        Self::Corrupt,
        Self::DiskError,
        Self::Shutdown,
        Self::TargetRemoved,
        Self::Admin,
    ];

    /// The value of the `reason` label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::SpoolFull => "spool_full",
            Self::Budget => "budget",
            Self::TooLarge => "too_large",
            Self::InvalidName => "invalid_name",
            Self::Undecodable => "undecodable",
            Self::Expired => "expired",
            Self::Rejected => "rejected",
            Self::Ambiguous => "ambiguous",
            Self::UploadFailed => "upload_failed",
            Self::Duplicate => "duplicate",
            Self::Corrupt => "corrupt",
            Self::DiskError => "disk_error",
            Self::Shutdown => "shutdown",
            Self::TargetRemoved => "target_removed",
            Self::Admin => "admin",
        }
    }
}
