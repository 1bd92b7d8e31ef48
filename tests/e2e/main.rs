//! Black-box tests: the real binary, real sockets, raw bytes on both sides of it.
//!
//! A number such as `§8 #12` is a row of the table of tricky cases the project was designed by; the
//! text beside it says all that is needed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a panic is a failing test, the clock is the real one, and stderr is captured"
)]

/// The listener for metrics and health.
mod admin;
/// Who may change something through it, who may read dead letters, and under which names it answers.
mod admin_access;
/// Clients that take its connections and give nothing.
mod admin_load;
/// Answers whose body matters beside their status, or stalls.
mod answers;
/// Requests of real SDKs, byte for byte to the upstream and tagged to a target.
mod captures;
/// The command `check`: the faults of a configuration, and the sources of its values.
mod check;
/// Requests that fail because of their client.
mod client_faults;
/// Clients that try again because the local upstream failed.
mod client_retries;
/// Codings that nobody here knows, and refusals of gRPC.
mod codings;
/// The help, the version and the flags of the commands, as a shell sees them.
mod command_line;
/// A relay that is killed at any moment.
mod crashes;
/// Profiles that a target refuses by themselves, among others.
mod culprits;
/// Profiles that a target rejected.
mod dead_letters;
/// What a target gets, and which responses it takes a profile with.
mod delivery;
/// Content types and codings that nobody touches.
mod encodings;
/// Bodies: chunks, trailers, lengths, cut-off and large ones.
mod framing;
/// A file system that is full for real.
mod full_disk;
/// Completions and manual pages.
mod generate;
/// HTTP/2 and gRPC.
mod grpc;
/// gRPC calls of profiles, with a client that was not written for this test.
mod grpc_calls;
/// gRPC and gRPC-Web over HTTP/1.1.
mod grpc_http1;
/// The connection that gRPC calls take to the upstream.
mod grpc_upstream;
/// Fields of heads, both ways.
mod headers;
/// Whether a relay is ready, as an exit code.
mod healthcheck;
/// Ends that a disk, or a reader of the log, would hold up.
mod hung_ends;
/// Targets that do not touch one another.
mod isolation;
/// Spools and dead letters whose directory cannot be used when the relay starts.
mod late_disks;
/// Starting, being watched, stopping.
mod life_cycle;
/// Where the parser ends, with an answer.
mod limits;
/// A profile that ends the relay whenever it is delivered, and a relay that is killed.
mod lives;
/// Many requests at once, and who takes them.
mod load;
/// Headers that give a body its meaning.
mod meaning_headers;
/// The memory limit.
mod memory;
/// What a scrape shows.
mod metrics;
/// Names of hosts.
mod names;
/// Profiles of OpenTelemetry.
mod otlp;
/// What answers of a target mean, and what a target is spared.
mod outcomes;
/// Heads that are odd or broken.
mod parser;
/// Clients that say little, late or nothing.
mod patience;
/// Profiles of today's SDKs: labels are in the body.
mod push;
/// Pushes that no target gets, and those that only a target gets.
mod push_ends;
/// Pushes that nobody can read.
mod push_unreadable;
/// A target that is a Pyroscope 2.x.
mod pyroscope2;
/// The query of an upload.
mod query;
/// The queue of a target: its limits, its order and its workers.
mod queues;
/// Profiles that a target does not simply take.
mod refusals;
/// `disable-local-writes`.
mod relay_only;
/// `disable-local-writes`: what a client is told of a body that no target can be sent.
mod relay_only_bodies;
/// Relays that point at each other.
mod relay_ring;
/// Paths and methods.
mod routes;
/// What must not be seen.
mod secrets;
/// The commands `send` and `sink`.
mod send_and_sink;
/// A shortage of memory, and those who cause it.
mod shortage;
/// Profiles that wait on disk.
mod spool;
/// What waits on disk, seen and moved by hand.
mod spool_commands;
/// Spools that open late.
mod spool_opening;
/// Files of the spool that the operating system does not return.
mod spool_unreadable;
/// Kept connections that the upstream or a target closes: stale or ambiguous.
mod stale;
/// How the targets are, as JSON and as a table.
mod status;
/// What the tests are written with.
mod support;
/// Where profiles are recognised, and where a target gets them.
mod surfaces;
/// Tags of a target in the name of a profile.
mod tags;
/// The connections to a target: kept, refused, and too slow.
mod target_connections;
/// The times of profiles that name none.
mod times;
/// Targets over https.
mod tls;
/// An upstream or targets that are gone, slow, early or rude.
mod trouble;
/// Connections that become something else.
mod upgrade;
/// How much the upstream is asked for at once.
mod upstream_limits;
/// Which requests are retries of one client.
mod whose_retry;
