//! Asks a server of a job: an application for a profile, or a server of `http-sd-configs` for scrape targets.

mod body;
mod client;
mod error;
mod redirect;

pub(crate) use body::{Room, read_within};
pub(crate) use client::{AGENT, Client};
pub(crate) use error::FetchError;
