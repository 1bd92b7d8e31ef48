//! What `pyrotee scrape status` and `pyrotee status` show.

use std::fs;

use super::app::App;
use super::{job, wait_for};
use crate::support::command::pyrotee;
use crate::support::ports::Refusing;
use crate::support::{Relay, SOON, Upstream, eventually};

#[test]
fn scrape_targets_are_shown_with_their_health_and_the_reason() {
    let (app, local) = (App::new(&[]), Upstream::ok());
    let silent = Refusing::at("127.0.0.1:0".parse().unwrap());
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("targets.yaml");
    let found = "- { application: found, targets: [\"127.0.0.1:6060\"] }\n";
    fs::write(&file, found).unwrap();
    let more = format!(
        "- job-name: more\n  scrape-interval: 1s\n  enabled-profiles: [mem]\n  static-configs:\n  \
         - {{ application: silent, targets: [\"{}\"] }}\n  \
         file-sd-configs: [{{ files: [\"{}\"] }}]",
        silent.address(),
        file.display()
    );
    let jobs = format!("{}\n{more}", job(&app, "cpu"));
    let relay = Relay::builder().upstream(&local).yaml(&jobs).spawn();
    wait_for(&local, "samples", 1);
    let admin = relay.admin().to_string();
    let show = |args: &[&str]| {
        let args = [&["scrape", "status", "--admin", &admin], args].concat();
        pyrotee(&args)
    };
    eventually(SOON, "a scrape of each", || {
        let out = show(&[]).out;
        out.contains("  up ") && out.contains("  down ") && out.contains("loopback")
    });
    let out = show(&[])
        .expect(0, &["JOB", "shop  cpu", "zone=a", "Connection refused"])
        .out;
    assert!(out.contains(&silent.url()), "{out}");
    let shop = show(&["--job", "shop"]).expect(0, &["shop"]).out;
    assert!(!shop.contains("more"), "{shop}");
    let json = show(&["--job", "shop", "--json"]).json();
    assert_eq!(json[0]["labels"]["zone"], "a");
    show(&["--job", "what"]).expect(1, &["no scrape target of the job what"]);
    pyrotee(&["status", "--admin", &admin]).expect(0, &["scrape: 2 jobs, 1 up, 1 down"]);
}
