//! What the admin listener shows and changes of the spool.

use std::path::PathBuf;

use pyrotee_spool::{Control, Monitor};

/// The spool of the running relay, which may not be open yet, and the handles to observe and control it.
#[derive(Debug, Clone)]
pub struct OpenSpool {
    pub dir: PathBuf,
    pub monitor: Monitor,
    pub control: Control,
}
