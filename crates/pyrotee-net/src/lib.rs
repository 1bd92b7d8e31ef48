//! How pyrotee reaches other machines: addresses of targets and upstreams.

mod address;

pub use address::{Address, AddressError, Parsed, UserInfo};
