//! The keys of the spool.

use std::path::Path;

use super::{target, yaml};
use crate::{FsyncPolicy, Spool};

fn spool(lines: &str) -> Spool {
    let config = yaml(&format!("spool:\n{lines}")).config();
    let written = config.to_yaml();
    assert_eq!(yaml(&written).config().to_yaml(), written);
    config.spool.expect("it has a directory")
}

#[test]
fn there_is_none_unless_it_has_a_directory() {
    assert!(target("").config().spool.is_none());
    assert!(yaml("spool: {}\n").config().spool.is_none());
    yaml("spool:\n  max-bytes: 1GiB\n").fault_is(
        "pyrotee.yaml:1: spool.dir: is missing; write the directory of the spool, such as /var/lib/pyrotee/spool",
    );
}

#[test]
fn its_defaults_are_for_a_disk_of_its_own() {
    let spool = spool("  dir: /data/spool\n");
    assert_eq!(spool.dir, Path::new("/data/spool"));
    assert_eq!((spool.max_bytes, spool.segment_bytes), (1 << 30, 8 << 20));
    assert_eq!(spool.fsync, FsyncPolicy::Interval);
}

#[test]
fn a_small_one_has_small_segments() {
    let small = spool("  dir: /s\n  max-bytes: 16MiB\n  fsync: always\n");
    assert_eq!((small.max_bytes, small.segment_bytes), (16 << 20, 4 << 20));
    assert_eq!(small.fsync, FsyncPolicy::Always);
    yaml("spool:\n  dir: /s\n  max-bytes: 16MiB\n  segment-bytes: 8MiB\n").fault_is(
        "pyrotee.yaml:4: spool.segment-bytes: is more than a quarter of `max-bytes`, and space returns by \
         whole segments; write 4MiB or less",
    );
    yaml("spool:\n  dir: /s\n  max-bytes: 1MiB\n").fault_is(
        "pyrotee.yaml:3: spool.max-bytes: `1MiB` is too little for a spool; write 4MiB or more",
    );
    yaml("spool:\n  dir: /s\n  fsync: sometimes\n").fault_is(
        "pyrotee.yaml:3: spool.fsync: `sometimes` is not known; write one of always, interval, never",
    );
}

#[test]
fn its_directory_is_its_own_and_absolute() {
    yaml("spool:\n  dir: /etc\n").fault_is(
        "pyrotee.yaml:2: spool.dir: `/etc` is a directory of the operating system, and the files of pyrotee need one \
         of their own; write /var/lib/pyrotee/spool",
    );
    let faults = yaml("spool: { dir: spool }\ndead-letters: { dir: letters }\n").faults();
    let relative = "is a relative path, which depends on where the relay is started; write an absolute one, such as";
    for line in [
        format!("spool.dir: `spool` {relative} /var/lib/pyrotee/spool"),
        format!("dead-letters.dir: `letters` {relative} /var/lib/pyrotee/dead-letters"),
    ] {
        assert!(faults.contains(&line), "{faults}");
    }
    let faults = yaml("dead-letters: { dir: /var/lib/ }\n").faults();
    assert!(faults.contains("operating system"), "{faults}");
}
