//! What the commands ask other servers with.

pub(crate) mod admin;
