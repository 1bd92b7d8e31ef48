//! Pull mode of Pyroscope 0.37: what a job scrapes, and how a scraped profile is sent. Source: `pkg/scrape/config` and
//! `pkg/scrape/target.go` of Pyroscope 0.37.

mod group;
mod profiles;

pub use group::{Group, GroupFault, groups, parse_groups};
pub use profiles::{Profile, SampleType, default_profiles, sample_type_config};
