//! Black-box tests: the real binary, real sockets, and raw bytes on both sides of the relay.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a panic is a failing test, the clock is the real one, and stderr is captured"
)]

/// The listener for metrics and health.
mod admin;
/// Access to the admin listener: the token, proxies in front, and names.
mod admin_access;
/// Clients that hold connections of the admin listener and complete no request.
mod admin_load;
/// Responses of a target whose body matters besides the status, or whose body stalls.
mod answers;
/// Captured requests of real SDKs: byte for byte to the upstream, with tags to a target.
mod captures;
/// The command `check`: the faults of a configuration, and the sources of its values.
mod check;
/// Requests that fail because of their client.
mod client_faults;
/// Clients that retry because the local upstream failed.
mod client_retries;
/// Content codings that the relay cannot decode, and calls that gRPC refuses.
mod codings;
/// The help, the version and the flags of the commands, as a shell sees them.
mod command_line;
/// A relay that is killed at any moment, while disk and targets fail.
mod crashes;
/// Poison records among good ones.
mod culprits;
/// Dead letters: profiles that a target rejected.
mod dead_letters;
/// The requests that a target gets, and the responses that count as success.
mod delivery;
/// Content types and content codings, which the relay does not change.
mod encodings;
/// How commands find the relay that they call.
mod finding_relays;
/// Bodies of requests and responses: framing, trailers, ends and sizes.
mod foreign_directory;
mod framing;
/// The spool on a file system that is really full.
mod full_disk;
/// Shell completions and manual pages.
mod generate;
/// HTTP/2 and gRPC.
mod grpc;
/// gRPC calls with profiles, made by a client that shares no code with the relay.
mod grpc_calls;
/// gRPC and gRPC-Web over HTTP/1.1.
mod grpc_http1;
/// The configurations in the pages of the documentation.
mod guides;
/// Header fields of requests and responses.
mod headers;
/// Readiness and liveness as an exit code.
mod healthcheck;
/// Stops that a hanging disk, or a reader of the log that does not read, would delay.
mod hung_ends;
/// Targets that do not affect one another.
mod isolation;
/// Spools and dead letters whose directory cannot be used when the relay starts.
mod late_disks;
/// The life of a relay: start, readiness, signals and stop.
mod life_cycle;
/// The limits of the HTTP parser.
mod limits;
/// A profile that ends the relay whenever it is delivered, and a healthy relay that is killed again and again.
mod lives;
/// Many requests at once, and a stand-in that accepts them.
mod load;
/// The log of a running relay.
mod log;
/// Headers that give a body its meaning.
mod meaning_headers;
/// The memory limit.
mod memory;
/// The metrics of a scrape.
mod metrics;
/// Host names in addresses.
mod names;
/// Profiles of OpenTelemetry.
mod otlp;
/// What a target's responses mean, and how a target is protected from uploads that cannot succeed.
mod outcomes;
/// Odd or broken heads of requests and responses.
mod parser;
/// Clients that send little, late or nothing.
mod patience;
/// Push: profiles whose labels are in the body.
mod push;
/// Pushes that only the upstream gets, and Pushes that only targets get.
mod push_ends;
/// Pushes that cannot be read.
mod push_unreadable;
/// A Pyroscope 2.x as a target.
mod pyroscope2;
/// The query of an upload.
mod query;
/// The queue of a target: its limits, its order and its workers.
mod queues;
/// Profiles that a target does not accept as they are.
mod refusals;
/// `disable-local-writes`.
mod relay_only;
/// `disable-local-writes`: responses for a body that no target can get.
mod relay_only_bodies;
/// Relays whose addresses lead to one another.
mod relay_ring;
/// Configurations that change while the relay runs.
mod reload;
/// Paths and methods: which requests are profiles.
mod routes;
/// The pages of the runbook that the binary carries.
mod runbook;
/// Pull mode: applications that the relay scrapes.
mod scrape;
/// Scrape targets that are slow, hostile or broken.
mod scrape_faults;
/// Secrets are shown nowhere.
mod secrets;
/// The commands `send` and `sink`.
mod send_and_sink;
/// Notifications for systemd: ready, reloading, stopping, and beats of the watchdog.
mod service_manager;
/// A backlog on NATS JetStream that relays share.
mod shared;
/// A shortage of memory, and clients that cause one.
mod shortage;
/// Profiles that are queued on disk.
mod spool;
/// The commands that show and move the queued profiles of a spool.
mod spool_commands;
/// Spools that open late.
mod spool_opening;
/// Files of the spool that the operating system does not return.
mod spool_unreadable;
/// Kept connections that the upstream or a target closes: stale or ambiguous.
mod stale;
/// The state of the targets, as JSON and as a table.
mod status;
/// The exit code of `pyrotee status --fail`.
mod status_fail;
/// Helpers of the tests.
mod support;
/// How ingestion requests are recognised, and the paths to which a target gets them.
mod surfaces;
/// Tags of a target in the name of a profile.
mod tags;
/// The connections to a target: kept, refused, and too slow.
mod target_connections;
/// The times of profiles that have none.
mod times;
/// TLS with clients, with targets and with the upstream.
mod tls;
/// An upstream or targets that are gone, slow, early or broken.
mod trouble;
/// Connections that switch to another protocol.
mod upgrade;
/// Limits of the connections to the upstream.
mod upstream_limits;
/// Which requests are retries of the same client.
mod whose_retry;
