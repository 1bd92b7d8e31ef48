//! Tests of whole handshakes, in memory.

/// Which servers a client accepts.
mod accepted;
/// Which servers a library accepts that is given addresses.
mod by_address;
/// What the files of a configuration may hold, and the fault of each mistake.
mod files;
/// What a client says about a server that it does not accept, or that does not accept the client.
mod from_client;
/// What a listener says about a client.
mod from_server;
/// Two sides that pass bytes to each other.
mod pump;
/// Values that are compared and swapped.
mod rotation;
/// Keys and passphrases are in no output.
mod secrets;

use crate::testing::{Authority, Pair, ca, dates, for_servers_only, system};
use pump::{of_version, shake, shake_as};
