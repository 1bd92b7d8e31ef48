//! Certificates, keys and authorities that change while the relay runs.

pub(super) mod damage;
/// Files that arrive damaged and are mended, a mounted Secret, and authorities that change.
mod files;
/// Certificates and authorities that change every second under load.
mod load;
pub(super) mod rig;
mod secret;
