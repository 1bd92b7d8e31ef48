//! A profile that is not a captured request: its bytes, and the format of the body that carries it.

use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use bytes::Bytes;

use super::SurfaceArg;

/// The built-in sample, a gzipped pprof; see `assets/README.md`.
const SAMPLE: &[u8] = include_bytes!("../../../assets/sample.pprof.gz");

const GZIP: &[u8] = &[0x1f, 0x8b];
const JFR: &[u8] = b"FLR\0";

/// A profile to upload.
#[derive(Debug, Clone)]
pub(super) struct Profile {
    pub(super) data: Bytes,
    pub(super) format: BodyFormat,
}

/// Format of the body that carries a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyFormat {
    /// A part of `multipart/form-data`, which the Go SDK sends: always pprof. A `format` parameter would make
    /// Pyroscope read the multipart bytes themselves as a profile.
    Multipart,
    /// The profile itself, with this `format` parameter.
    Raw(&'static str),
    /// A message of Push: always pprof.
    Push,
    /// The profile itself, which is a message of OTLP, with this content type.
    Export(&'static str),
}

impl Profile {
    pub(super) fn sample(surface: SurfaceArg) -> anyhow::Result<Self> {
        let format = match surface {
            SurfaceArg::Ingest => BodyFormat::Multipart,
            SurfaceArg::Push => BodyFormat::Push,
            SurfaceArg::Otlp => {
                return Err(anyhow!(
                    "--as otlp requires a --file: the built-in sample is pprof and is not converted"
                ));
            }
        };
        Ok(Self {
            data: Bytes::from_static(SAMPLE),
            format,
        })
    }

    pub(super) fn of_file(path: &Path, data: Vec<u8>, surface: SurfaceArg) -> anyhow::Result<Self> {
        let shown = path.display();
        let format = match surface {
            SurfaceArg::Ingest => BodyFormat::Raw(detect_format(path, &data).with_context(|| {
                format!(
                    "cannot tell the format of {shown}: rename it to end in .pprof, .jfr or .folded"
                )
            })?),
            SurfaceArg::Push => {
                let pprof = detect_format(path, &data) == Some("pprof");
                ensure!(
                    pprof,
                    "--as push takes pprof only: neither ending nor content of {shown} says pprof"
                );
                BodyFormat::Push
            }
            SurfaceArg::Otlp if ending(path) == "json" => BodyFormat::Export("application/json"),
            SurfaceArg::Otlp => BodyFormat::Export("application/x-protobuf"),
        };
        Ok(Self {
            data: data.into(),
            format,
        })
    }
}

/// Returns the format that the file's ending says, else the one that its content says; `None` if neither is known.
fn detect_format(path: &Path, data: &[u8]) -> Option<&'static str> {
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
            let got = Profile::of_file(Path::new(path), data.to_vec(), SurfaceArg::Ingest).ok();
            assert_eq!(
                got.map(|profile| profile.format),
                format.map(BodyFormat::Raw),
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
        let format = |path: &str, surface| {
            Profile::of_file(Path::new(path), b"\x1f\x8b".to_vec(), surface)
                .map(|profile| profile.format)
                .map_err(|error| error.to_string())
        };
        assert_eq!(format("a", SurfaceArg::Push), Ok(BodyFormat::Push));
        let refusal = format("a.jfr", SurfaceArg::Push).unwrap_err();
        assert!(refusal.contains("--as push takes pprof"), "{refusal}");
        let kinds = [
            ("a.JSON", "application/json"),
            ("a", "application/x-protobuf"),
        ];
        for (path, kind) in kinds {
            assert_eq!(format(path, SurfaceArg::Otlp), Ok(BodyFormat::Export(kind)));
        }
        let refusal = Profile::sample(SurfaceArg::Otlp).unwrap_err().to_string();
        assert!(refusal.contains("--file"), "{refusal}");
    }
}
