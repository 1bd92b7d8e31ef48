//! The server's side of a connection, for every listener: how long a connection may take over its first bytes, its
//! heads, its idle times and its writes. What a single request may take is not known here.

mod io;
mod timeouts;

pub use io::TimedIo;
pub use timeouts::{ConnectionTimeouts, Deadlines, Phase, poll_deadline, timed_out};
