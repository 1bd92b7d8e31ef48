//! Files of the spool that the operating system does not return.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use rustix::process::Signal;

use crate::support::{
    Answer, Client, Count, Relay, Request, SOON, Upstream, client::noise, eventually,
};

const MODE: &str = "pyroscope_remote_write_spool_mode";
const UNREADABLE: &str = "pyroscope_remote_write_spool_unreadable_segments";
const ERRORS: &str = "pyroscope_remote_write_spool_errors_total";
const PROFILES: u64 = 60;

fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).expect("the spool can be listed");
    let paths = entries.map(|entry| entry.expect("an entry can be read").path());
    let mut segments: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "log"))
        .collect();
    segments.sort();
    segments
}

fn verify(dir: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pyrotee"));
    let command = command.args(["spool", "verify", "--dir"]).arg(dir);
    let output = command.output().expect("the command runs");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    (output.status.code(), text)
}

#[test]
fn a_file_that_cannot_be_opened_at_the_start_is_delivered_once_it_can() {
    let home = tempfile::tempdir().expect("a temporary directory can be made");
    let dir = home.path().join("spool");
    let target = Upstream::ok();
    let address = target.stop();
    let url = format!("http://{address}");
    let spool = format!(
        "spool: {{ dir: \"{}\", max-bytes: 16MiB, segment-bytes: 64KiB }}",
        dir.display()
    );
    let builder = Relay::builder()
        .yaml(&spool)
        .remote_write("disable-local-writes: true")
        .target_address("central", &url, &["queue-size: 1000"]);
    let mut relay = builder.clone().spawn();
    let mut client = Client::connect(relay.addr());
    for number in 0..PROFILES {
        let answer = client.exchange(&Request::profile(&format!("app{number}"), &noise(5_000)));
        assert_eq!(answer.status(), 200);
    }
    let bytes = "pyroscope_remote_write_spool_written_bytes_total";
    eventually(SOON, "all to be written", || {
        relay.metrics().value(bytes, &[]) >= Some(5_000.0 * 60.0)
    });
    relay.signal(Signal::TERM);
    assert!(relay.wait(Duration::from_secs(60)).is_some());
    assert_eq!(verify(&dir).0, Some(0));

    // A symbolic link to itself cannot be opened, not even by root.
    let taken: Vec<_> = segments(&dir).into_iter().take(2).collect();
    for segment in &taken {
        fs::rename(segment, segment.with_extension("taken")).expect("it can be renamed");
        symlink(segment, segment).expect("a link can be made");
    }
    let (code, text) = verify(&dir);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("cannot be read: ") && !text.contains("any more"),
        "{text}"
    );

    let target = Upstream::at(&address.to_string(), |_| Answer::ok());
    let relay = builder.spawn();
    let value = |series| {
        relay
            .metrics()
            .value(series, &[])
            .expect("the series exists")
    };
    assert!(relay.metrics().value(MODE, &[("mode", "read_errors")]) == Some(1.0));
    assert!(value(UNREADABLE) == 2.0);
    let readable = relay.ledger("central").accepted.profiles;
    assert!((30..PROFILES).contains(&readable), "{readable}");
    relay.wait_ledger("central", "the others", |ledger| {
        ledger.sent.profiles == readable
    });
    eventually(SOON, "another attempt", || value(ERRORS) > 0.0);
    for segment in &taken {
        fs::rename(segment.with_extension("taken"), segment).expect("it can be renamed");
    }
    let sent = |ledger: &crate::support::Ledger| ledger.sent.profiles == PROFILES;
    let ledger = relay.wait_ledger("central", "all", sent);
    assert_eq!(ledger.lost(), Count::default(), "{ledger:?}");
    assert!(relay.metrics().value(MODE, &[("mode", "disk")]) == Some(1.0));
    assert!(value(UNREADABLE) == 0.0);
    eventually(SOON, "the files to go", || segments(&dir).len() <= 1);
    assert_eq!(target.requests().len() as u64, PROFILES);
}
