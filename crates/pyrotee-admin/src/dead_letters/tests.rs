use std::time::Duration;

use pyrotee_delivery::{DeadLetter, DeadLetterReason};
use pyrotee_letters::{DeadLetters, Monitor, Settings};
use pyrotee_queue::{Budget, Head, LeaseFilter, Producer, Record, Supervisor};
use tempfile::TempDir;

use super::*;
use crate::fixture::{record, removed, targets};
use crate::{Membership, TargetList, TargetView};

/// The service of a relay with the targets `other` and `central`, which rejected a profile each.
struct Rig {
    _home: TempDir,
    letters: OpenLetters,
    list: TargetList,
    _producer: Arc<dyn Producer>,
}

impl Rig {
    fn new(central: Membership) -> (Self, Vec<Arc<TargetView>>) {
        let home = TempDir::new().unwrap();
        let monitor = rejected(&home, ["other", "central"]);
        let (producer, views) = targets([("other", Membership::Configured), ("central", central)]);
        let list = TargetList::new(views.to_vec());
        let weak = Arc::downgrade(&producer);
        let service = LetterService::new(monitor, weak, list.clone(), Budget::new(1 << 20));
        let rig = Self {
            _home: home,
            letters: Arc::new(service).open().unwrap(),
            list,
            _producer: producer,
        };
        (rig, views.into())
    }

    /// The ids of the letters of `target`.
    async fn ids(&self, target: &str) -> Vec<String> {
        let target = Some(target.to_owned());
        let query = PageQuery {
            target,
            before: None,
            limit: 10,
        };
        let page = self.letters.page(query).await.unwrap();
        let page: serde_json::Value = serde_json::from_slice(&page).unwrap();
        let letters = page["letters"].as_array().unwrap().iter();
        letters
            .map(|it| it["id"].as_str().unwrap().to_owned())
            .collect()
    }

    async fn replay(
        &self,
        target: &str,
        to: Option<&str>,
    ) -> Result<crate::json::dead_letters::BatchResult, TargetError> {
        let ids = self.ids(target).await;
        let to = to.map(str::to_owned);
        self.letters.replay(&BatchRequest { ids, to }).await
    }
}

/// Writes a letter of each target, of a record that another relay captured.
fn rejected(home: &TempDir, targets: [&str; 2]) -> Monitor {
    let opened = DeadLetters::open(Settings {
        dir: home.path().to_owned(),
        max_bytes: 1 << 20,
        most_waiting: 1 << 20,
        supervisor: Supervisor::default(),
    });
    let opened = opened.unwrap();
    let head = Head {
        captor_tags: Some("pod=a".into()),
        ..record(10).head().clone()
    };
    let reservation = Budget::new(1 << 20).reserve(10).unwrap();
    let record = Record::new(head, record(10).body().clone(), reservation);
    for target in targets {
        opened.sink.offer(&DeadLetter {
            target,
            record: &record,
            reason: DeadLetterReason::Rejected,
            tries: 1,
            status: Some(400),
            response: "no",
        });
    }
    assert_eq!(opened.writer.close(Duration::from_secs(60)), 0);
    opened.monitor
}

#[tokio::test]
async fn a_letter_goes_to_its_target_whatever_the_order_of_the_list() {
    let (rig, views) = Rig::new(Membership::Configured);
    rig.list.set(views.iter().rev().cloned().collect());
    let done = rig.replay("central", None).await.unwrap();
    assert_eq!((done.done.len(), done.failed.len()), (1, 0));
    let accepted = [0, 1].map(|index| views[index].counts().accepted.profiles);
    assert_eq!(accepted, [0, 1], "central has it");
    let done = rig.replay("other", Some("central")).await.unwrap();
    assert_eq!(done.done.len(), 1);
    assert_eq!(views[1].counts().accepted.profiles, 2);
}

#[tokio::test]
async fn the_tags_of_the_captor_go_to_the_letters_own_target_alone() {
    let (rig, views) = Rig::new(Membership::Configured);
    let tags = async || {
        let lease = views[1].consumer.lease(&LeaseFilter::ANY).await.unwrap();
        lease.record().head().captor_tags.clone()
    };
    rig.replay("central", Some("central")).await.unwrap();
    assert_eq!(tags().await.as_deref(), Some("pod=a"));
    views[1].consumer.purge();
    rig.replay("other", Some("central")).await.unwrap();
    assert_eq!(tags().await, None);
}

#[tokio::test]
async fn no_letter_goes_to_a_draining_target() {
    let (rig, views) = Rig::new(removed());
    let refused = rig.replay("other", Some("central")).await.unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("was removed") && text.ends_with(": other"),
        "{text}"
    );
    let status = Failure::from(refused).into_response().status();
    assert_eq!(status, StatusCode::CONFLICT);

    let done = rig.replay("central", None).await.unwrap();
    let [failure] = &done.failed[..] else {
        panic!("{done:?}");
    };
    assert!(failure.error.contains("was removed"), "{failure:?}");
    assert_eq!(rig.ids("central").await.len(), 1, "the letter is kept");
    assert_eq!(views[1].counts().accepted.profiles, 0);
}

#[tokio::test]
async fn an_order_for_an_unknown_target_is_refused_as_a_whole() {
    let (rig, _) = Rig::new(Membership::Configured);
    let refused = rig.replay("central", Some("none")).await.unwrap_err();
    let text = refused.to_string();
    assert!(
        text.contains("no target `none`") && text.ends_with("other, central"),
        "{text}"
    );
    let status = Failure::from(refused).into_response().status();
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(rig.ids("central").await.len(), 1);
}
