//! The permissions that `docs/scaling.md` lists suffice, for what the page says.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, SystemTime},
};

use super::{
    GAUGES, RECOVERY, named, numbered, open, relay_only, send, series, stop, wait_for_each,
    wait_until_connected, wait_until_done,
};
use crate::support::{
    Answer, Builder, Ledger, Relay, SOON, Upstream,
    command::{Done, pyrotee},
    eventually,
    nats::{Login, NKEY, Nats},
    ports::Refusing,
};

/// Age at which the profiles of these tests expire. All of them are handed over before.
const MAX_AGE: Duration = Duration::from_secs(4);

/// Profiles of each test.
const COUNT: usize = 30;

/// The right without which no record leaves a stream but by delivery.
const PURGE: &str = "\"$JS.API.STREAM.PURGE.pyrotee-central\",";

/// The page.
fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scaling.md");
    fs::read_to_string(path).expect("the page exists")
}

/// The server of the page, with an administrator in its account for the test itself.
fn server(permissions: &str) -> Nats {
    let user = "users = [{ user: test, password: test },";
    Nats::with(
        &permissions.replacen("users = [", user, 1),
        Login::User("test", "test"),
    )
}

/// The account of the page for `policy: bind`, with the key of the tests.
fn for_bind() -> String {
    let page = page();
    let block = page.split("\naccounts {").nth(1);
    let block = block.and_then(|rest| rest.split("\n```").next());
    let block = block.expect("the page shows an account");
    format!(
        "accounts {{{}",
        block.replace("nkey: U…", &format!("nkey: {}", NKEY[1]))
    )
}

/// The account of the page for `policy: manage`.
fn for_manage() -> String {
    let page = page();
    let (_, rest) = page
        .split_once("For `policy: manage` add ")
        .expect("the page says it");
    let (sentence, _) = rest.split_once(';').expect("the page says more");
    let more: Vec<_> = sentence.split('`').skip(1).step_by(2).collect();
    assert_eq!(more.len(), 2, "{sentence}");
    let more = more.iter().map(|it| format!("\"{it}\","));
    let more: String = more.collect();
    for_bind().replacen("publish = [", &format!("publish = [{more}"), 1)
}

/// A relay with a single worker that shows the key of the page.
fn relay(nats: &Nats, address: &str, policy: &str, max_age: &str) -> Builder {
    let file = nats.path("relay.nk");
    fs::write(&file, NKEY[0]).expect("a file can be written");
    let auth = format!("auth: {{ nkey-file: \"{}\" }}", file.display());
    let options = ["timeout: 1m", "queue-workers: 1", max_age];
    relay_only(nats, &format!("after: 1s, policy: {policy}, {auth}"))
        .target_address("central", address, &options)
}

/// Makes the stream and its consumers, as an administrator does.
fn make_stream(nats: &Nats) {
    let login = "policy: manage, auth: { user: test, password: test }";
    let maker = relay_only(nats, login)
        .target_address("central", &Refusing::new().url(), &["timeout: 1m"])
        .spawn();
    is_usable(&maker);
    stop(maker);
}

fn is_usable(relay: &Relay) {
    wait_until_connected(relay);
    eventually(SOON, "a usable stream", || series(relay, "usable") == 1.0);
}

/// Leaves [`COUNT`] profiles in the stream, while the target is away.
fn leave(builder: Builder) {
    let relay = builder.spawn();
    is_usable(&relay);
    send(&relay, &numbered(COUNT));
    stop_in_peace(relay);
}

/// A relay beside a stream with profiles. It takes none of them over, because a target that hangs has its only worker.
struct Busy {
    nats: Nats,
    relay: Relay,
    _hung: Upstream,
}

impl Busy {
    /// `before`: what happens before the relay starts.
    fn new(permissions: &str, max_age: &str, before: impl FnOnce(&Nats)) -> Self {
        let (mut nats, port) = (server(permissions), Refusing::new());
        make_stream(&nats);
        let builder = relay(&nats, &port.url(), "bind", max_age);
        leave(builder.clone());
        before(&nats);
        nats.kill();
        let hung = Upstream::at(&port.address().to_string(), |_| Answer::never());
        let relay = builder.spawn();
        send(&relay, &named("busy", 1));
        hung.wait_for(1, SOON);
        nats.restart();
        is_usable(&relay);
        Self {
            nats,
            relay,
            _hung: hung,
        }
    }

    fn purge(&self) -> Done {
        let admin = self.relay.admin().to_string();
        pyrotee(&["shared", "purge", "central", "--admin", &admin])
    }
}

/// The server never refused anything to this relay.
fn is_in_peace(relay: &Relay) {
    let status = relay.status()["shared"].to_string();
    assert!(!status.contains("ermission"), "{status}");
    assert!(!relay.output().contains("ermission"), "{}", relay.output());
}

fn stop_in_peace(relay: Relay) {
    is_in_peace(&relay);
    stop(relay);
}

/// Profiles are handed over, taken over and delivered, and the check finds nothing that is missing.
fn works(nats: &Nats, policy: &str) {
    let port = Refusing::new();
    let builder = relay(nats, &port.url(), policy, "max-age: 55m");
    leave(builder.clone());
    let target = open(&port);
    let relay = builder.spawn();
    let config = relay.home().join("pyrotee.yaml").display().to_string();
    let words = [
        "stream pyrotee-central is as it must be",
        "were not looked for",
        "STREAM.LIST",
    ];
    pyrotee(&["shared", "check", "--config", &config]).expect(0, &words);
    wait_for_each(&target, &numbered(COUNT), RECOVERY);
    wait_until_done(&relay, nats);
    stop_in_peace(relay);
}

#[test]
fn the_permissions_for_bind_suffice_to_use_a_stream_and_those_for_manage_to_create_it() {
    thread::scope(|scope| {
        scope.spawn(|| {
            let nats = server(&for_bind());
            make_stream(&nats);
            works(&nats, "bind");
        });
        scope.spawn(|| works(&server(&for_manage()), "manage"));
    });
}

#[test]
fn the_permissions_for_bind_suffice_to_remove_expired_profiles() {
    let busy = Busy::new(&for_bind(), "max-age: 4s", |nats| {
        assert_eq!(nats.stored(), COUNT as u64);
        let all_stored = SystemTime::now();
        let is_old = || all_stored.elapsed().is_ok_and(|age| age > MAX_AGE);
        eventually(2 * MAX_AGE, "the age of expiry", is_old);
    });
    eventually(GAUGES, "an empty stream", || busy.nats.stored() == 0);
    let is_expired = |it: &Ledger| it.dropped("expired").profiles == COUNT as u64;
    let ledger = busy.relay.wait_ledger("central", "all expired", is_expired);
    assert_eq!(ledger.lost(), ledger.dropped("expired"), "{ledger:?}");
    assert_eq!(ledger.taken_over, ledger.dropped("expired"), "{ledger:?}");
    is_in_peace(&busy.relay);
}

#[test]
fn the_permissions_for_bind_suffice_to_purge_a_stream() {
    let busy = Busy::new(&for_bind(), "max-age: 55m", |_| {});
    busy.purge().expect(0, &["central"]);
    assert_eq!(busy.nats.stored(), 0);
    let ledger = busy.relay.ledger("central");
    assert_eq!(ledger.dropped("admin").profiles, COUNT as u64, "{ledger:?}");
    is_in_peace(&busy.relay);
}

#[test]
fn a_purge_without_its_permission_is_refused_and_the_status_says_which_one_is_missing() {
    let permissions = for_bind();
    assert!(permissions.contains(PURGE), "{permissions}");
    let busy = Busy::new(&permissions.replace(PURGE, ""), "max-age: 55m", |_| {});
    busy.purge()
        .expect(1, &["not the shared backlog", "pyrotee status"]);
    assert_eq!(busy.nats.stored(), COUNT as u64);
    let admin = busy.relay.admin().to_string();
    let words = [
        "$JS.API.STREAM.PURGE.pyrotee-central",
        "allow this subject to the relay's user",
    ];
    pyrotee(&["status", "--admin", &admin]).expect(0, &words);
}
