//! Starts nats-servers for tests.
