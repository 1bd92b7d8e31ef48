//! A profile that is not a captured request: its bytes and how Pyroscope has to read them.

use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;

use super::As;

/// See `assets/README.md`.
const SAMPLE: &[u8] = include_bytes!("../../../assets/sample.pprof.gz");

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
    /// In a message of Push: always pprof.
    Push,
    /// It is a message of OTLP already, of this type.
    Export(&'static str),
}

impl Profile {
    pub(super) fn sample(surface: As) -> anyhow::Result<Self> {
        let framing = match surface {
            As::Ingest => Framing::Multipart,
            As::Push => Framing::Push,
            As::Otlp => {
                return Err(anyhow!(
                    "--as otlp wants a --file: the built-in sample is pprof and is not converted"
                ));
            }
        };
        Ok(Self {
            data: Bytes::from_static(SAMPLE),
            framing,
        })
    }

    pub(super) fn of_file(path: &Path, data: Vec<u8>, surface: As) -> anyhow::Result<Self> {
        let shown = path.display();
        let framing = match surface {
            As::Ingest => Framing::Raw(format(path, &data).with_context(|| {
                format!(
                    "cannot tell the format of {shown}: rename it to end in .pprof, .jfr or .folded"
                )
            })?),
            As::Push => {
                let pprof = format(path, &data) == Some("pprof");
                ensure!(
                    pprof,
                    "--as push takes pprof and nothing else: {shown} is none by its ending or content"
                );
                Framing::Push
            }
            As::Otlp if ending(path) == "json" => Framing::Export("application/json"),
            As::Otlp => Framing::Export("application/x-protobuf"),
        };
        Ok(Self {
            data: data.into(),
            framing,
        })
    }
}

/// Tells the format from the ending where there is one that says it, else from the content.
fn format(path: &Path, data: &[u8]) -> Option<&'static str> {
    Some(match ending(path).as_str() {
        "jfr" => "jfr",
        "txt" | "folded" | "collapsed" => "folded",
        "pprof" | "pb" => "pprof",
        _ if data.starts_with(JFR) => "jfr",
        _ if data.starts_with(GZIP) => "pprof",
        _ => return None,
    })
}

fn ending(path: &Path) -> String {
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    ending.to_string_lossy().into_owned()
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
            let got = Profile::of_file(Path::new(path), data.to_vec(), As::Ingest).ok();
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

    #[test]
    fn push_takes_pprof_and_otlp_takes_messages_of_its_own() {
        let framing = |path: &str, surface| {
            Profile::of_file(Path::new(path), b"\x1f\x8b".to_vec(), surface)
                .map(|profile| profile.framing)
                .map_err(|error| error.to_string())
        };
        assert_eq!(framing("a", As::Push), Ok(Framing::Push));
        let refusal = framing("a.jfr", As::Push).unwrap_err();
        assert!(refusal.contains("--as push takes pprof"), "{refusal}");
        let kinds = [
            ("a.JSON", "application/json"),
            ("a", "application/x-protobuf"),
        ];
        for (path, kind) in kinds {
            assert_eq!(framing(path, As::Otlp), Ok(Framing::Export(kind)));
        }
        let refusal = Profile::sample(As::Otlp).unwrap_err().to_string();
        assert!(refusal.contains("--file"), "{refusal}");
    }
}
