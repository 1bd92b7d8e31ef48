//! Programs that send one profile to the relay over TLS, and what became of it.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::{
    files::{CA, Files, Shown},
    process::{go, run},
};
use crate::tools::command;

/// A program that sends profiles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    Curl,
    OpenSsl,
    GoHttp1,
    GoHttp2,
}

/// What a client trusts and shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The file of the authorities that the client trusts.
    pub(super) ca: &'static str,
    /// The name that the client connects to and expects in the certificate.
    pub(super) name: &'static str,
    pub(super) shown: Option<Shown>,
    /// Highest version of TLS: `1.2` or `1.3`.
    pub(super) max: &'static str,
}

/// A client that trusts the relay and shows no certificate.
pub(super) const TRUSTING: Manner = Manner {
    ca: CA,
    name: "localhost",
    shown: None,
    max: "1.3",
};

/// The path and query of an upload.
pub(super) const UPLOAD: &str = "/ingest?name=app&from=1795397490&until=1795397500";

impl Client {
    pub(super) const ALL: [Self; 4] = [Self::Curl, Self::OpenSsl, Self::GoHttp1, Self::GoHttp2];

    /// Sends a profile to the relay at `port`. Returns whether it was accepted, and the output of the program.
    pub(super) fn send(self, port: u16, files: &Files, manner: &Manner) -> (bool, String) {
        let pair = manner.shown.map(|it| (files.cert(it), files.key(it)));
        match self {
            Self::Curl => {
                let mut curl = curl(&files.path(manner.ca));
                curl.args(["--http2", "--data-binary", "profile"]);
                curl.args(["--tls-max", manner.max]);
                curl.arg("--resolve")
                    .arg(format!("{}:{port}:127.0.0.1", manner.name));
                if let Some((cert, key)) = &pair {
                    curl.args(["--cert", cert, "--key", key]);
                }
                let (output, _) = run(curl.arg(format!("https://{}:{port}{UPLOAD}", manner.name)));
                (output.starts_with("200 2"), output)
            }
            Self::OpenSsl => {
                let mut client = s_client(port, &files.path(manner.ca));
                client.args(["-quiet", "-verify_return_error"]);
                client.args(["-servername", manner.name, "-verify_hostname", manner.name]);
                if manner.max == "1.2" {
                    client.arg("-no_tls1_3");
                }
                if let Some((cert, key)) = &pair {
                    client.args(["-cert", cert, "-key", key]);
                }
                let output = exchange(&mut client, &upload());
                (output.contains("HTTP/1.1 200 "), output)
            }
            Self::GoHttp1 | Self::GoHttp2 => {
                let mut client = go(&["send", "-max", manner.max, "-name", manner.name]);
                client.args(["-ca", &files.path(manner.ca)]);
                if let Some((cert, key)) = &pair {
                    client.args(["-cert", cert, "-key", key]);
                }
                if self == Self::GoHttp1 {
                    client.arg("-http1");
                }
                let (output, _) = run(client.arg(format!("https://localhost:{port}{UPLOAD}")));
                let answer: Value = serde_json::from_str(&output).unwrap_or_default();
                let version = [("HTTP/1.1", Self::GoHttp1), ("HTTP/2.0", Self::GoHttp2)];
                let spoken = version
                    .iter()
                    .any(|it| (&answer["Protocol"], self) == (&it.0.into(), it.1));
                (answer["Status"] == 200 && spoken, output)
            }
        }
    }
}

/// A curl that trusts the authorities of a file, and writes status and version of HTTP.
pub(super) fn curl(ca: &str) -> Command {
    let mut curl = command("curl", &["--silent", "--show-error", "--max-time", "20"]);
    curl.args([
        "--output",
        "/dev/null",
        "--write-out",
        "%{http_code} %{http_version} ",
    ]);
    curl.args(["--cacert", ca]);
    curl
}

/// An `openssl s_client` that trusts the authorities of a file.
pub(super) fn s_client(port: u16, ca: &str) -> Command {
    let mut client = command("openssl", &["s_client", "-CAfile", ca, "-connect"]);
    client.arg(format!("127.0.0.1:{port}"));
    client
}

/// An upload that asks the relay to close the connection afterwards.
pub(super) fn upload() -> String {
    format!(
        "POST {UPLOAD} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 7\r\n\r\nprofile"
    )
}

/// Runs an `openssl s_client` that sends `input` and reads until the relay closes the connection. Its output.
pub(super) fn exchange(client: &mut Command, input: &str) -> String {
    // Without -ign_eof it would leave at the end of its input, before the response.
    let client = client.arg("-ign_eof").stdin(Stdio::piped());
    let client = client.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = client.spawn().expect("openssl is installed");
    let mut stdin = child.stdin.take().expect("it is piped");
    // It may have ended already, because the handshake failed.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().expect("the child is ours");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
