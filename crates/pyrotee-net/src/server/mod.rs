//! The server's side of a connection, for every listener: time limits for the first bytes, the heads, the idle
//! times and the writes of a connection, TLS, a guard that acts when the body of a response ends, and the
//! faults of clients whose bodies do not arrive. The limits of a single request are not in this module.

mod client_fault;
mod guard_body;
mod io;
mod timeouts;
mod tls;

pub use client_fault::{ClientFault, UploadTimeout};
pub use guard_body::{BodyGuard, GuardBody};
pub use io::TimedIo;
pub use timeouts::{ConnectionTimeouts, Deadlines, Phase, poll_deadline, timed_out};
pub use tls::{ClientStream, HandshakeError, TlsAcceptor, has_client_certificate};
