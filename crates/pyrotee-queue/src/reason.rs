//! Why a record was dropped: a closed list, the values of the `reason` label.

/// Why a record was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The target's queue was full, in records or bytes.
    QueueFull,
    /// The spool was full, or the record is larger than the spool can hold.
    SpoolFull,
    /// The global memory budget had no room.
    Budget,
    /// The body is larger than `tee.max-body`, or than what may be recorded or unpacked within the memory limit.
    TooLarge,
    /// The profile's name cannot be parsed, so that no tag can be added.
    InvalidName,
    /// The body cannot be decoded, so that no tag can be added; or uploading the record panicked three times, or ended
    /// three processes.
    Undecodable,
    /// The record was older than the target's `max-age`.
    Expired,
    /// The target rejected this profile, or the profile is poison.
    Rejected,
    /// It is unknown whether the target received the profile, and the upload must not be repeated.
    Ambiguous,
    /// The client sent the body too slowly to hold memory for it.
    UploadFailed,
    /// A client's retry of a profile that was teed already.
    Duplicate,
    /// The record was damaged on disk, or missing there after a restart.
    Corrupt,
    /// The file of the record could not be read, and was removed because the spool was full.
    DiskError,
    /// The record was still pending when the relay stopped.
    Shutdown,
    /// The target was removed from the configuration.
    TargetRemoved,
    /// An operator's command dropped the record.
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
