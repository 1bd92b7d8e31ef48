//! Where the programs of nats-server are.

use std::env;
use std::path::PathBuf;

/// The program of a present-day version.
pub(super) fn newest() -> PathBuf {
    let named = env::var_os("PYROTEE_NATS_SERVER").map(PathBuf::from);
    let of_go = [("GOPATH", "bin"), ("HOME", "go/bin")]
        .into_iter()
        .filter_map(|(variable, below)| Some(PathBuf::from(env::var_os(variable)?).join(below)));
    let path = env::var_os("PATH").unwrap_or_default();
    let of_path: Vec<_> = env::split_paths(&path).collect();
    let mut places = named
        .into_iter()
        .chain(of_go.chain(of_path).map(|it| it.join("nats-server")));
    places.find(|it| it.is_file()).expect(
        "this test needs nats-server 2.10 or newer: `go install github.com/nats-io/nats-server/v2@v2.15.3`, or name the \
         program in PYROTEE_NATS_SERVER",
    )
}

/// The program of Debian 12.
pub(super) fn old() -> PathBuf {
    let named = env::var_os("PYROTEE_NATS_SERVER_OLD");
    let program = PathBuf::from(named.unwrap_or_else(|| "/usr/sbin/nats-server".into()));
    assert!(
        program.is_file(),
        "{}: this test needs the nats-server 2.9 of Debian 12 (`apt-get install nats-server`), or a program of that \
         version in PYROTEE_NATS_SERVER_OLD",
        program.display()
    );
    program
}
