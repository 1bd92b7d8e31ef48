//! How pyrotee reaches another server: addresses, names, sockets, TLS, and what is known of a
//! connection when it fails. Both sides use it, towards the upstream and towards targets; it knows
//! neither.
//!
//! - Names are resolved by hickory: a static glibc binary must not call `getaddrinfo`, and answers
//!   are kept for their TTL.
//! - Every socket has `TCP_NODELAY`: without it p99 through a relay was 47 ms, with it 9.5 ms.
//! - A [`Link`] remembers whether its connection has answered before and whether a byte came since
//!   the last write. hyper's error alone cannot tell a stale keep-alive connection from a server
//!   that died over this very request.

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests may spawn bare tasks")
)]

mod address;
mod connector;
mod fault;
mod link;
mod listen;
mod resolver;
mod tls;

pub use address::{Address, AddressError, Parsed, UserInfo};
pub use connector::{Connector, Dial, Dialer, Io, Links};
pub use fault::{Fault, FaultKind};
pub use link::{Link, Watched};
pub use listen::{BindError, Listen, bind};
pub use resolver::{ResolveError, Resolver};
pub use tls::{Tls, TlsError};
