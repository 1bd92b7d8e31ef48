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

    /// What an operator does about drops for this reason: one imperative sentence without a full stop, for logs, status
    /// and runbooks.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::QueueFull => {
                "check whether the target takes profiles (pyrotee status), then raise queue-size or queue-bytes, or use a spool"
            }
            Self::SpoolFull => {
                "check whether the target takes profiles (pyrotee status), then raise spool.max-bytes, and enlarge its disk if that is smaller"
            }
            Self::Budget => {
                "raise memory-limit, or lower queue-bytes of targets that are slow or unavailable"
            }
            Self::TooLarge => {
                "raise tee.max-body and memory-limit, or let the clients send smaller profiles"
            }
            Self::InvalidName => "correct the name that the client sends: app.name{key=value,…}",
            Self::Undecodable => {
                "read the profile with pyrotee dead-letters show, and check the client that sent it"
            }
            Self::Expired => {
                "check why the target took no profiles in time (pyrotee status), or raise its max-age"
            }
            Self::Rejected => {
                "read the target's response with pyrotee dead-letters show, then replay the profile"
            }
            Self::Ambiguous => {
                "check why the target breaks off uploads, raise its timeout, or set on-ambiguous: retry"
            }
            Self::UploadFailed => {
                "check the network of the client: the client sends too slowly to hold memory for it"
            }
            Self::Duplicate => {
                "do nothing, since the profile was teed before, or set tee.duplicates: tee to send retries as well"
            }
            Self::Corrupt => {
                "check the disk of spool.dir: a file of the spool is damaged or missing"
            }
            Self::DiskError => "check the disk of spool.dir: a file of the spool cannot be read",
            Self::Shutdown => {
                "raise shutdown.grace, or use a spool, which keeps pending profiles for the next start"
            }
            Self::TargetRemoved => {
                "raise reload.drain if the profiles of removed targets are still needed"
            }
            Self::Admin => "do nothing, since a command dropped the profiles",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_a_remedy_that_names_its_key_or_command() {
        for reason in Reason::ALL {
            let expected = match reason {
                Reason::QueueFull => "queue-size",
                Reason::SpoolFull => "spool.max-bytes",
                Reason::Budget => "memory-limit",
                Reason::TooLarge => "tee.max-body",
                Reason::InvalidName => "name",
                Reason::Undecodable | Reason::Rejected => "pyrotee dead-letters show",
                Reason::Expired => "max-age",
                Reason::Ambiguous => "on-ambiguous",
                Reason::UploadFailed => "client",
                Reason::Duplicate => "tee.duplicates",
                Reason::Corrupt | Reason::DiskError => "spool.dir",
                Reason::Shutdown => "shutdown.grace",
                Reason::TargetRemoved => "reload.drain",
                Reason::Admin => "command",
            };
            let remedy = reason.remedy();
            assert!(remedy.contains(expected), "{reason:?}: {remedy}");
            assert!(remedy.len() <= 125 && !remedy.ends_with('.'), "{remedy}");
        }
    }
}
