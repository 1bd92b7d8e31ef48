//! Requests of real SDKs, as they were captured on the wire.

use std::{fs, path::Path};

use super::wire::Head;

/// One captured request.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) file: String,
    /// The whole request, ready to be sent.
    pub(crate) bytes: Vec<u8>,
    pub(crate) head: Head,
    pub(crate) body: Vec<u8>,
}

impl Capture {
    /// The head without hop-by-hop fields: the part that an upstream must get.
    pub(crate) fn end_to_end_head(&self) -> Vec<u8> {
        let lines = self.head.raw().split_inclusive(|&byte| byte == b'\n');
        let kept = lines.filter(|line| !line.to_ascii_lowercase().starts_with(b"connection:"));
        kept.flatten().copied().collect()
    }
}

/// All captured requests to `path`, at least one.
pub(crate) fn to(path: &str) -> Vec<Capture> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let entries = fs::read_dir(&directory).expect("the captures are part of the repository");
    let mut captures: Vec<_> = entries
        .map(|entry| entry.expect("the directory can be read").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "http")
        })
        .map(|path| read(&path))
        .filter(|capture| capture.head.path() == path)
        .collect();
    captures.sort_by(|a, b| a.file.cmp(&b.file));
    assert!(
        !captures.is_empty(),
        "no capture of {path} in {}",
        directory.display()
    );
    captures
}

fn read(path: &Path) -> Capture {
    let bytes = fs::read(path).expect("a capture can be read");
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let (head, body) = bytes.split_at(end.expect("a capture has a head") + 4);
    let (head, body) = (Head::new(head), body.to_vec());
    let file = path
        .file_name()
        .expect("a file has a name")
        .to_string_lossy()
        .into_owned();
    Capture {
        file,
        bytes,
        head,
        body,
    }
}
