//! Jobs and limits as plain values.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Uri};
use pyroscope_wire::scrape::{Group, Profile};
use pyrotee_tls::ClientTls;

/// Everything about pull mode. Without jobs nothing is scraped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scrape {
    /// The entries of `scrape-configs`, with different names, in the order of the file.
    pub jobs: Vec<Job>,
    pub limits: Limits,
    /// Headers of the requests by which scraped profiles are sent through the relay, such as `X-Scope-OrgID` from
    /// `scrape.tenant-id`. Sensitive values are marked so.
    pub headers: HeaderMap,
}

/// Limits of all jobs together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest body of a profile as it is received, in bytes.
    pub max_body: u64,
    /// Longest profile when it is unpacked, in bytes.
    pub max_unpacked: u64,
    /// Most loops: scrape targets times profiles.
    pub max_targets: usize,
    /// Most requests at once, without those that wait for an application that was asked for `seconds`.
    pub max_concurrent: usize,
    /// Most memory of the baselines of cumulative profiles, in bytes.
    pub state_limit: u64,
}

/// An entry of `scrape-configs`. Two equal jobs scrape the same: a reload keeps the loops of an equal job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// `job-name`: the label `job` of the profiles.
    pub name: String,
    pub interval: Duration,
    /// Time limit of a whole request. `None`: 15 s, or 5 s more than a profile's `seconds` if that is longer.
    pub timeout: Option<Duration>,
    pub scheme: Scheme,
    /// `body-size-limit` in bytes; `None`: `Limits::max_body` alone.
    pub max_body: Option<u64>,
    /// All profiles that the job knows, by name. A label `__profile_NAME_enabled` of a scrape target overrides
    /// `is_enabled`.
    pub profiles: BTreeMap<String, JobProfile>,
    pub static_groups: Vec<Group>,
    pub file_discoveries: Vec<FileDiscovery>,
    pub http_discoveries: Vec<HttpDiscovery>,
    /// How scrape targets are asked.
    pub client: HttpClientSettings,
}

/// A profile of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobProfile {
    pub profile: Profile,
    /// Whether `enabled-profiles` names it.
    pub is_enabled: bool,
}

/// Scheme of the URLs of scrape targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scheme {
    #[default]
    Http,
    Https,
}

/// How a server is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpClientSettings {
    /// Value of the header `Authorization`, marked as sensitive; `None`: none.
    pub authorization: Option<HeaderValue>,
    /// `tls-config`; `None`: the authorities of the system.
    pub tls: Option<ClientTls>,
    /// Whether redirects to the same host are followed.
    pub follow_redirects: bool,
}

/// An entry of `file-sd-configs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDiscovery {
    /// Paths of JSON and YAML files; the last segment may have `*`.
    pub files: Vec<PathBuf>,
    /// How often the files are read.
    pub interval: Duration,
}

/// An entry of `http-sd-configs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpDiscovery {
    pub url: Uri,
    /// How often the URL is asked, and the time limit of a request.
    pub interval: Duration,
    pub client: HttpClientSettings,
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            max_body: 16 * MIB,
            max_unpacked: 64 * MIB,
            max_targets: 1_000,
            max_concurrent: 16,
            state_limit: 32 * MIB,
        }
    }
}

impl Default for HttpClientSettings {
    fn default() -> Self {
        Self {
            authorization: None,
            tls: None,
            follow_redirects: true,
        }
    }
}

impl Scheme {
    /// The scheme as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
