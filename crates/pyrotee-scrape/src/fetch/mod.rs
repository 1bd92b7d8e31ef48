//! Asks a server of a job: an application for a profile, or a server of `http-sd-configs` for scrape targets.

mod client;
mod error;
mod redirect;

pub(crate) use client::{Client, read_within};
pub(crate) use error::FetchError;
