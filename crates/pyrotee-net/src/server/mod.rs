//! The server's side of a connection, for every listener: how long a connection may take over its first bytes, its
//! heads, its idle times and its writes, and when the body of a response has ended. What a single request may take is not
//! known here.

mod guard_body;
mod io;
mod timeouts;

pub use guard_body::{BodyGuard, GuardBody};
pub use io::TimedIo;
pub use timeouts::{ConnectionTimeouts, Deadlines, Phase, poll_deadline, timed_out};
