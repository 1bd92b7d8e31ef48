//! A profile that is not a captured request: its bytes and how Pyroscope has to read them.

use std::path::Path;

use anyhow::anyhow;
use bytes::Bytes;

/// See `assets/README.md`.
const SAMPLE: &[u8] = include_bytes!("../../assets/sample.pprof.gz");

const GZIP: &[u8] = &[0x1f, 0x8b];
const JFR: &[u8] = b"FLR\0";

#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub(super) data: Bytes,
    pub(super) framing: Framing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// As a part of `multipart/form-data`, as the Go SDK does it: always pprof. A `format` beside it
    /// would make Pyroscope read the multipart bytes themselves as a profile.
    Multipart,
    /// As the whole body, with this `format`.
    Raw(&'static str),
}

impl Profile {
    pub(super) fn sample() -> Self {
        Self {
            data: Bytes::from_static(SAMPLE),
            framing: Framing::Multipart,
        }
    }

    /// Tells the format from the ending where there is one that says it, else from the content.
    pub(super) fn of_file(path: &Path, data: Vec<u8>) -> anyhow::Result<Self> {
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        let format = match ending.to_str().unwrap_or_default() {
            "jfr" => "jfr",
            "txt" | "folded" | "collapsed" => "folded",
            "pprof" | "pb" => "pprof",
            _ if data.starts_with(JFR) => "jfr",
            _ if data.starts_with(GZIP) => "pprof",
            _ => {
                return Err(anyhow!(
                    "cannot tell the format of {}: rename it to end in .pprof, .jfr or .folded",
                    path.display()
                ));
            }
        };
        Ok(Self {
            data: data.into(),
            framing: Framing::Raw(format),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ending_and_content_tell_the_format() {
        for (path, data, format) in [
            ("a.jfr", &b"\x1f\x8b"[..], Some("jfr")),
            ("a.PPROF", b"\x0a", Some("pprof")),
            ("a.folded", b"a;b 1", Some("folded")),
            ("a.collapsed", b"", Some("folded")),
            ("a.txt", b"", Some("folded")),
            ("a.pb.gz", b"\x1f\x8b\x08", Some("pprof")),
            ("a", b"\x1f\x8b\x08", Some("pprof")),
            ("a.bin", b"FLR\0\0\x02", Some("jfr")),
            ("a", b"a;b 1", None),
            ("a.gz", b"no gzip", None),
        ] {
            let got = Profile::of_file(Path::new(path), data.to_vec()).ok();
            assert_eq!(
                got.map(|profile| profile.framing),
                format.map(Framing::Raw),
                "{path}"
            );
        }
    }

    #[test]
    fn the_sample_is_gzip_and_small() {
        assert!(SAMPLE.starts_with(GZIP));
        assert!(SAMPLE.len() < 4096);
    }
}
