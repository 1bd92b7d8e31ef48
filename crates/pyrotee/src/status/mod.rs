//! What a relay tells of its targets.

pub(crate) mod page;
