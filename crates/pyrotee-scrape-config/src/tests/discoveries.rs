use std::path::Path;
use std::time::Duration;

use super::{faults, job};

#[test]
fn discoveries_have_the_defaults_of_0_37() {
    let job = job(
        "file-sd-configs: [{ files: [/a/*.json, /b.yml] }]\nhttp-sd-configs: [{ url: http://h:1/x?y=z }]",
    );
    let files = &job.file_discoveries[0];
    assert_eq!(files.files, [Path::new("/a/*.json"), Path::new("/b.yml")]);
    assert_eq!(files.interval, Duration::from_secs(300));
    let http = &job.http_discoveries[0];
    assert_eq!(http.url, "http://h:1/x?y=z");
    assert_eq!(http.interval, Duration::from_secs(60));
    assert!(http.client.follow_redirects && http.client.authorization.is_none());
}

#[test]
fn what_cannot_be_asked_or_read_is_a_fault() {
    for (lines, fault) in [
        (
            "file-sd-configs: [{}]",
            "file-sd-configs[1].files: is missing",
        ),
        (
            "file-sd-configs: [{ files: /a.json }]",
            "files: takes a list",
        ),
        (
            "file-sd-configs: [{ files: [a.json] }]",
            "files: `a.json` is a relative path",
        ),
        (
            "file-sd-configs: [{ files: [/a.txt] }]",
            "files: `/a.txt` does not end with .json",
        ),
        (
            "file-sd-configs: [{ files: [/*/a.json] }]",
            "files: `/*/a.json` has a `*` in the name of a directory",
        ),
        (
            "file-sd-configs: [{ files: [/a.json], refresh-interval: 1ms }]",
            "is shorter than 1s",
        ),
        (
            "http-sd-configs: [{}]",
            "http-sd-configs[1].url: is missing",
        ),
        ("http-sd-configs: [{ url: h }]", "url: `h` is no URL"),
        (
            "http-sd-configs: [{ url: 'ftp://h' }]",
            "url: the value is no URL",
        ),
        (
            "http-sd-configs: [{ url: 'http://u:s3cret@h' }]",
            "url: the value has a user",
        ),
        (
            "http-sd-configs: [{ url: 'http://h', files: [] }]",
            "http-sd-configs[1].files: unknown key",
        ),
    ] {
        let found = faults(lines);
        assert_eq!(found.len(), 1, "{lines}: {found:?}");
        assert!(found[0].contains(fault), "{found:?}");
        assert!(!found[0].contains("s3cret"));
    }
}
