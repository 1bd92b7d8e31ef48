use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use pyroscope_wire::Surface;
use pyrotee_queue::{Budget, Head, Headers, Payload, SurfaceId};
use tempfile::TempDir;

use super::*;

const LIMIT: u64 = 1 << 20;
const HALF: usize = 1 << 19;
/// Bytes of a small letter: a block for each of its two files.
const SMALL: u64 = 2 * 4_096;

pub(crate) fn record(query: &str, bytes: usize) -> Arc<Record> {
    let head = Head {
        surface: SurfaceId(Surface::Ingest.id()),
        query: query.into(),
        content_type: Some(b"application/octet-stream".as_slice().into()),
        content_encoding: None,
        headers: Headers::default(),
        hops: 1,
        received: SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_516_900),
        captor_tags: None,
    };
    let reservation = Budget::new(1 << 40).reserve(bytes as u64).unwrap();
    Record::new(head, Payload::from(vec![b'x'; bytes]), reservation)
}

pub(super) fn cause(target: &str) -> Cause {
    Cause {
        target: target.to_owned(),
        reason: "rejected",
        tries: 3,
        status: Some(422),
        answer: "the moon is \"full\"".to_owned(),
    }
}

/// The time of a refusal, this many seconds after a fixed start.
fn at(second: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_795_516_980 + second, 123_456_789)
}

pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.0.path().join("letters")
    }

    pub(crate) fn open(&self) -> Store {
        Store::open(&self.dir(), LIMIT).unwrap()
    }

    /// Names of all files except the lock.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name != "lock").collect();
        names.sort();
        names
    }

    /// Bytes of all files on disk, as the limit counts them.
    fn taken(&self) -> u64 {
        let len = |name: &String| fs::metadata(self.dir().join(name)).unwrap().len();
        self.names()
            .iter()
            .map(|name| files::on_disk(len(name)))
            .sum()
    }
}

fn texts(ids: &[Id]) -> Vec<String> {
    ids.iter().map(Id::to_string).collect()
}

#[test]
fn a_letter_is_two_files_for_people_and_tools() {
    let home = Home::new();
    let store = home.open();
    store
        .keep(
            &record("name=shop%7Ba=b%7D&from=now-1h", 5),
            &cause("central"),
            at(0),
        )
        .unwrap();
    let id = "20261124T104300.123Z-000001-central";
    assert_eq!(home.names(), [format!("{id}.http"), format!("{id}.json")]);

    let ids = store.ids(None);
    assert_eq!(texts(&ids), [id]);
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(home.dir().join(format!("{id}.json"))).unwrap()).unwrap();
    assert_eq!(
        json,
        serde_json::json!({
            "id": id, "target": "central", "surface": "ingest", "app": "shop",
            "received": "2026-11-24T10:41:40.000Z", "rejected": "2026-11-24T10:43:00.123Z",
            "reason": "rejected", "tries": 3, "status": 422, "answer": "the moon is \"full\"",
            "bytes": 5,
        })
    );
    assert_eq!(store.letter(&ids[0]).unwrap().id, id);
    let (head, body) = captured::read(&store.request(&ids[0]).unwrap()).unwrap();
    assert_eq!(
        &*head.query,
        "name=shop%7Ba=b%7D&from=1795513300000000000&until=1795516900000000000"
    );
    assert_eq!((head.hops, &*body), (1, &b"xxxxx"[..]));
}

#[test]
fn nobody_else_may_look() {
    let home = Home::new();
    let store = home.open();
    store
        .keep(&record("name=a", 5), &cause("central"), at(0))
        .unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(home.dir()), 0o700);
    for name in home.names() {
        assert_eq!(mode(home.dir().join(&name)), 0o600, "{name}");
    }
}

#[test]
fn the_oldest_make_room_and_the_bound_holds_at_every_step() {
    let home = Home::new();
    let store = home.open();
    for (second, letter) in (0..300).zip(0_usize..) {
        let bytes = (letter * 7_919) % 60_000;
        store
            .keep(&record("name=a", bytes), &cause("central"), at(second))
            .unwrap();
        assert!(home.taken() <= LIMIT, "{second}: {}", home.taken());
        assert_eq!(home.taken(), store.size().bytes, "{second}");
    }
    let (size, ids) = (store.size(), store.ids(None));
    assert!(size.bytes > LIMIT / 2, "{size:?}");
    assert_eq!(size.letters + store.evicted(), 300);
    let numbers: Vec<_> = ids.iter().map(|id| id.number).collect();
    let youngest: Vec<_> = (store.evicted() + 1..=300).collect();
    assert_eq!(numbers, youngest);
}

#[test]
fn one_that_takes_more_than_half_is_not_kept_and_costs_no_other() {
    let home = Home::new();
    let store = home.open();
    store
        .keep(&record("name=a", 5), &cause("central"), at(0))
        .unwrap();
    let large = record("name=a", HALF);
    let refused = store.keep(&large, &cause("central"), at(1));
    assert!(matches!(refused, Err(Error::TooLarge)), "{refused:?}");
    assert_eq!(store.size().letters, 1);
    let fits = record("name=a", HALF - 3 * 4_096);
    store.keep(&fits, &cause("central"), at(2)).unwrap();
    assert_eq!(store.size().letters, 2);
}

#[test]
fn a_restart_finds_all_and_goes_on_counting() {
    let home = Home::new();
    let store = home.open();
    for second in 0..3 {
        store
            .keep(&record("name=a", 5), &cause("a.http"), at(second))
            .unwrap();
    }
    let (ids, size) = (store.ids(None), store.size());
    assert_eq!(size.bytes, 3 * SMALL);
    drop(store);
    let store = home.open();
    assert_eq!((store.ids(None), store.size()), (ids, size));
    // The clock was set back meanwhile.
    store
        .keep(&record("name=a", 5), &cause("b"), at(0))
        .unwrap();
    assert_eq!(store.ids(None)[3].number, 4);
    assert_eq!(store.ids(Some("b")).len(), 1);
    assert_eq!(store.ids(Some("a.http")).len(), 3);
    assert_eq!(store.ids(Some("c")), []);
}

#[test]
fn a_lower_limit_holds_from_the_start() {
    let home = Home::new();
    let store = home.open();
    for second in 0..10 {
        store
            .keep(&record("name=a", 5), &cause("a"), at(second))
            .unwrap();
    }
    drop(store);
    let store = Store::open(&home.dir(), 4 * SMALL).unwrap();
    assert_eq!((home.taken(), store.evicted()), (4 * SMALL, 6));
    assert_eq!(store.ids(None)[0].number, 7);
}

#[test]
fn what_is_left_of_half_a_letter_goes_and_foreign_files_stay() {
    let home = Home::new();
    drop(home.open());
    let id = "20261124T104300.123Z-000007-central";
    let halves = [
        format!("{id}.http"),
        format!("{id}.http.tmp"),
        format!("{id}.json.tmp"),
    ];
    let foreign = [
        "notes.txt",
        "x.http",
        "x.json",
        "x.http.tmp",
        "20261124T104300.123Z-7-a.json",
    ];
    for name in halves.iter().map(String::as_str).chain(foreign) {
        fs::write(home.dir().join(name), "?").unwrap();
    }
    fs::create_dir(home.dir().join(format!("{id}.json"))).unwrap();
    let looking = Store::look(&home.dir(), false).unwrap();
    assert_eq!((looking.ids(None), looking.size().letters), (vec![], 0));
    let store = home.open();
    assert_eq!(
        store.size(),
        Size {
            letters: 0,
            bytes: 0,
            max_bytes: LIMIT
        }
    );
    let mut left: Vec<_> = foreign.map(str::to_owned).into();
    left.push(format!("{id}.json"));
    left.sort();
    assert_eq!(home.names(), left);
}

#[test]
fn a_disk_that_fails_leaves_nothing_behind_and_takes_nothing() {
    let home = Home::new();
    let store = home.open();
    // A directory with the name of the second file. The first file is complete before the second one fails.
    let id = "20261124T104300.123Z-000001-central";
    fs::create_dir(home.dir().join(format!("{id}.json"))).unwrap();
    let failed = store.keep(&record("name=a", 5), &cause("central"), at(0));
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    assert_eq!(home.names(), [format!("{id}.json")], "the obstacle");
    assert_eq!(store.size().bytes, 0);
    store
        .keep(&record("name=a", 5), &cause("central"), at(0))
        .unwrap();
    assert_eq!(store.size().letters, 1);

    fs::remove_dir_all(home.dir()).unwrap();
    let failed = store.keep(&record("name=a", 5), &cause("central"), at(0));
    assert!(matches!(failed, Err(Error::Io { .. })), "{failed:?}");
    assert_eq!(store.size().bytes, SMALL, "what it knows of");
}

#[test]
fn a_letter_is_removed_once() {
    let home = Home::new();
    let store = home.open();
    store
        .keep(&record("name=a", 5), &cause("central"), at(0))
        .unwrap();
    let id = store.ids(None).remove(0);
    store.remove(&id).unwrap();
    assert!(home.names().is_empty());
    for gone in [
        store.remove(&id),
        store.letter(&id).map(drop),
        store.open_request(&id).map(drop),
        store.request_head(&id).map(drop),
        store.request(&id).map(drop),
    ] {
        assert!(matches!(gone, Err(Error::Gone(_))), "{gone:?}");
    }
}

#[test]
fn the_head_of_a_request_is_read_without_its_body() {
    let home = Home::new();
    let store = home.open();
    for query in ["name=a".to_owned(), format!("name={}", "a".repeat(100_000))] {
        let record = record(&query, 50_000);
        store.keep(&record, &cause("central"), at(0)).unwrap();
        let id = store.ids(None).pop().unwrap();
        let request = store.request(&id).unwrap();
        let (head, body_bytes) = store.request_head(&id).unwrap();
        assert_eq!(body_bytes, 50_000);
        assert_eq!(request.len(), head.len() + 4 + 50_000);
        assert!(request.starts_with(&head) && head.starts_with(b"POST /ingest?name=a"));
        assert_eq!(store.open_request(&id).unwrap().1, request.len() as u64);
        store.remove(&id).unwrap();
    }
}

#[test]
fn a_head_ends_wherever_its_end_lies() {
    for before in [0, 1, 16_381, 16_382, 16_383, 16_384, 16_385, 40_000] {
        let file = [&vec![b'x'; before][..], b"\r\n\r\n\r\n\r\nbody"].concat();
        let head = files::read_head(&mut &*file).unwrap();
        assert_eq!(head.map(|head| head.len()), Some(before));
    }
    for endless in [vec![], vec![b'x'; 100], vec![b'\r'; 1 << 20]] {
        assert_eq!(files::read_head(&mut &*endless).unwrap(), None);
    }
}

#[test]
fn damage_is_told_and_can_be_purged() {
    let home = Home::new();
    let store = home.open();
    for second in 0..2 {
        store
            .keep(&record("name=a", 5), &cause("central"), at(second))
            .unwrap();
    }
    let ids = store.ids(None);
    fs::write(home.dir().join(format!("{}.json", ids[0])), "{").unwrap();
    fs::remove_file(home.dir().join(format!("{}.http", ids[1]))).unwrap();
    drop(store);
    let store = home.open();
    assert_eq!(store.ids(None), ids);
    for damaged in [
        store.letter(&ids[0]).map(drop),
        store.request(&ids[1]).map(drop),
    ] {
        let error = damaged.unwrap_err().to_string();
        assert!(
            error.contains("damaged") && error.contains("purge it"),
            "{error}"
        );
    }
    ids.iter().for_each(|id| store.remove(id).unwrap());
    assert!(home.names().is_empty());
}

#[test]
fn only_one_may_change_something_and_anybody_may_look() {
    let home = Home::new();
    assert!(matches!(
        Store::look(&home.dir(), false),
        Err(Error::NoDirectory(_))
    ));
    let store = home.open();
    for second in [
        Store::open(&home.dir(), LIMIT),
        Store::look(&home.dir(), true),
    ] {
        let error = second.unwrap_err();
        assert!(matches!(error, Error::Locked(_)), "{error}");
    }
    store
        .keep(&record("name=a", 5), &cause("central"), at(0))
        .unwrap();
    let looking = Store::look(&home.dir(), false).unwrap();
    assert_eq!(looking.ids(None), store.ids(None));
    drop(store);
    assert!(Store::look(&home.dir(), true).is_ok());
}
