//! Discoveries of scrape targets: `file-sd-configs` and `http-sd-configs`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Uri;

use super::{client, interval::interval, keys, section::Section};
use crate::{FileDiscovery, HttpDiscovery};

/// The default of `refresh-interval` of files.
const FILES_INTERVAL: Duration = Duration::from_secs(5 * 60);

/// The default of `refresh-interval` of a URL.
const URL_INTERVAL: Duration = Duration::from_secs(60);

/// Reads `file-sd-configs`.
pub(super) fn files(job: &Section<'_>) -> Vec<FileDiscovery> {
    let sections = job.sections("file-sd-configs");
    sections.iter().map(file_discovery).collect()
}

fn file_discovery(section: &Section<'_>) -> FileDiscovery {
    section.check_keys(&[keys::FILES], &[]);
    let patterns = section.scalars("files");
    if !section.has("files") {
        let text = "is missing; write a list of paths such as /etc/pyrotee/targets/*.yaml";
        section.fault("files", text);
    }
    let mut files = Vec::new();
    for pattern in patterns {
        match file(&pattern.text) {
            Ok(file) => files.push(file),
            Err(problem) => section.fault_of(&pattern, problem),
        }
    }
    FileDiscovery {
        files,
        interval: interval(section, "refresh-interval", FILES_INTERVAL),
    }
}

/// The path of a file or of several ones.
fn file(text: &str) -> Result<PathBuf, &'static str> {
    let path = Path::new(text);
    let ending = path.extension().and_then(|it| it.to_str());
    let directory = path.parent().and_then(Path::to_str).unwrap_or_default();
    if !path.is_absolute() {
        Err(
            "is a relative path, which depends on where the relay is started; write an absolute one, such as \
             /etc/pyrotee/targets/*.yaml",
        )
    } else if !ending.is_some_and(|it| ["json", "yml", "yaml"].contains(&it)) {
        Err("does not end with .json, .yml or .yaml; name files with one of these endings")
    } else if directory.contains('*') {
        Err("has a `*` in the name of a directory; use it in the name of the file alone")
    } else {
        Ok(path.to_owned())
    }
}

/// Reads `http-sd-configs`.
pub(super) fn http(job: &Section<'_>) -> Vec<HttpDiscovery> {
    let sections = job.sections("http-sd-configs");
    sections.iter().filter_map(http_discovery).collect()
}

fn http_discovery(section: &Section<'_>) -> Option<HttpDiscovery> {
    section.check_keys(&[keys::HTTP, keys::CLIENT], &client::REFUSED);
    let interval = interval(section, "refresh-interval", URL_INTERVAL);
    let client = client::settings(section);
    if !section.has("url") {
        section.fault(
            "url",
            "is missing; write http://HOST/PATH or https://HOST/PATH",
        );
    }
    Some(HttpDiscovery {
        url: section.parse("url", url)?,
        interval,
        client,
    })
}

fn url(text: &str) -> Result<Uri, String> {
    let is_known = |uri: &Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    match text.parse::<Uri>() {
        Ok(uri) if uri.authority().is_some_and(|it| it.as_str().contains('@')) => {
            Err("has a user; remove it, and write `basic-auth` beside `url`".to_owned())
        }
        Ok(uri) if is_known(&uri) && uri.host().is_some_and(|host| !host.is_empty()) => Ok(uri),
        _ => Err("is no URL; write http://HOST/PATH or https://HOST/PATH".to_owned()),
    }
}
