//! The relays that share a backlog tell each other that they live, and that a target works again.
//!
//! Messages are short texts on one subject of plain NATS, which stores nothing: `join ID`, `here ID`, `leave ID`,
//! `recovered ID TARGET`. No relay depends on another: a lost message costs an interval.
//!
//! While the connection is lost, the last number of relays stays in force, so that a fleet whose broker is away does not
//! send its targets more than before.

use std::collections::HashMap;
use std::str;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use pyrotee_queue::Part;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::link::{Link, Session};
use crate::names;
use crate::settings::Settings;

/// Number of intervals without a message after which a relay counts as gone.
const MISSED: u32 = 3;

/// Most relays that are counted, so that a client that invents relays takes a bounded amount of memory.
const MOST_RELAYS: usize = 1_000;

/// Most announcements that wait to be read or sent. More are lost.
const MOST_WAITING: usize = 64;

/// Longest time for which a relay puts off its response to a new relay, so that a large fleet does not answer at once.
const MOST_JITTER: Duration = Duration::from_millis(200);

/// Time after which the task begins again that panicked.
const PAUSE_AFTER_PANIC: Duration = Duration::from_secs(1);

/// The relays that share a backlog. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Fleet {
    relays: watch::Receiver<u32>,
    recoveries: broadcast::Sender<Arc<str>>,
    announcements: mpsc::Sender<Arc<str>>,
}

impl Fleet {
    /// Begins to tell and to listen.
    pub(crate) fn start(
        settings: &Settings,
        link: &Link,
        tasks: &TaskTracker,
        stop: &CancellationToken,
    ) -> Self {
        let (relays, seen) = watch::channel(1);
        let (recoveries, _) = broadcast::channel(MOST_WAITING);
        let (announcements, announced) = mpsc::channel(MOST_WAITING);
        let mut member = Member {
            id: settings.boot.clone(),
            subject: names::fleet(&settings.prefix),
            interval: settings.timing.heartbeat,
            link: link.clone(),
            others: HashMap::new(),
            relays,
            recoveries: recoveries.clone(),
            announced,
        };
        let (supervisor, stop) = (settings.supervisor.clone(), stop.clone());
        tasks.spawn(async move {
            loop {
                let running = supervisor.catch_future(Part::Shared, member.run());
                tokio::select! {
                    ended = running => match ended {
                        Ok(()) => return,
                        Err(_panic) => sleep(PAUSE_AFTER_PANIC).await,
                    },
                    () = stop.cancelled() => return member.leave().await,
                }
            }
        });
        Self {
            relays: seen,
            recoveries,
            announcements,
        }
    }

    /// The number of relays that live, this one included: at least 1.
    pub fn relays(&self) -> watch::Receiver<u32> {
        self.relays.clone()
    }

    /// Tells the other relays that this relay has reached `target` again after an outage. Does not wait; without a
    /// connection nobody is told.
    pub fn announce_recovery(&self, target: &str) {
        // A full channel is a fleet that recovers more often than once in a heartbeat: others probe by themselves.
        self.announcements.try_send(target.into()).ok();
    }

    /// The names of targets that other relays have reached again after an outage.
    pub fn recoveries(&self) -> broadcast::Receiver<Arc<str>> {
        self.recoveries.subscribe()
    }
}

/// This relay as a member of the fleet.
struct Member {
    id: String,
    subject: String,
    interval: Duration,
    link: Link,
    /// The other relays, and when each was last heard.
    others: HashMap<String, Instant>,
    relays: watch::Sender<u32>,
    recoveries: broadcast::Sender<Arc<str>>,
    announced: mpsc::Receiver<Arc<str>>,
}

impl Member {
    /// Follows the sessions, until the link has ended.
    async fn run(&mut self) {
        let mut sessions = self.link.sessions();
        loop {
            let session = sessions.borrow_and_update().clone();
            tokio::select! {
                () = self.follow(session) => {}
                changed = sessions.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }

    /// Tells and listens on one session. Does not return while the session is in force.
    async fn follow(&mut self, session: Option<Arc<Session>>) {
        let Some(session) = session else {
            return self.discard_announcements().await;
        };
        let Ok(mut heard) = session.client.subscribe(self.subject.clone()).await else {
            return self.discard_announcements().await;
        };
        // The relays that were heard before the connection was lost have as long as others to be heard again.
        let now = Instant::now();
        self.others.values_mut().for_each(|heard| *heard = now);
        self.tell(&session, &format!("join {}", self.id)).await;
        let mut tick = interval(self.interval);
        tick.reset();
        let mut response = None;
        loop {
            tokio::select! {
                message = heard.next() => {
                    let Some(message) = message else {
                        return self.discard_announcements().await;
                    };
                    if self.hear(&message.payload) && response.is_none() {
                        let jitter = MOST_JITTER.mul_f64(fastrand::f64());
                        response = Some(Instant::now() + jitter);
                    }
                }
                _ = tick.tick() => {
                    self.tell(&session, &format!("here {}", self.id)).await;
                    self.forget();
                }
                () = until(response) => {
                    response = None;
                    self.tell(&session, &format!("here {}", self.id)).await;
                }
                Some(target) = self.announced.recv() => {
                    self.tell(&session, &format!("recovered {} {target}", self.id)).await;
                }
            }
        }
    }

    /// Drops the announcements that come while there is no connection: they would be out of date later.
    async fn discard_announcements(&mut self) {
        while self.announced.recv().await.is_some() {}
        std::future::pending::<()>().await;
    }

    /// Takes in what a relay says. Returns whether this relay should answer, because the other one is new.
    fn hear(&mut self, message: &[u8]) -> bool {
        let Ok(text) = str::from_utf8(message) else {
            return false;
        };
        let mut words = text.splitn(3, ' ');
        let (Some(word), Some(id)) = (words.next(), words.next()) else {
            return false;
        };
        if id == self.id || id.len() > self.id.len() {
            return false;
        }
        if word == "leave" {
            self.others.remove(id);
            self.count();
            return false;
        }
        let is_known = self.others.contains_key(id);
        if is_known || self.others.len() < MOST_RELAYS {
            self.others.insert(id.to_owned(), Instant::now());
            self.count();
        }
        if let ("recovered", Some(target)) = (word, words.next()) {
            // Without a listener there is nobody to tell.
            self.recoveries.send(target.into()).ok();
        }
        word == "join" || !is_known
    }

    /// Forgets the relays that were not heard for too long.
    fn forget(&mut self) {
        let longest = self.interval * MISSED + self.interval / 5;
        self.others.retain(|_, heard| heard.elapsed() < longest);
        self.count();
    }

    fn count(&self) {
        let relays = u32::try_from(self.others.len() + 1).unwrap_or(u32::MAX);
        self.relays.send_if_modified(|current| {
            let is_changed = *current != relays;
            *current = relays;
            is_changed
        });
    }

    /// Tells the others that this relay stops.
    async fn leave(&self) {
        if let Some(session) = self.link.session() {
            self.tell(&session, &format!("leave {}", self.id)).await;
            session.client.flush().await.ok();
        }
    }

    async fn tell(&self, session: &Session, text: &str) {
        let subject = self.subject.clone();
        // A message that is lost with the connection is told again with the next session.
        let told = session.client.publish(subject, text.to_owned().into());
        told.await.ok();
    }
}

/// Waits until `at`; for ever if that is `None`.
async fn until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use pyrotee_net::Resolver;
    use pyrotee_queue::Supervisor;

    use super::*;

    struct Heard {
        member: Member,
        relays: watch::Receiver<u32>,
        recoveries: broadcast::Receiver<Arc<str>>,
    }

    fn member() -> Heard {
        let resolver = Resolver::system().unwrap();
        let settings = Settings::new(Vec::new(), "p", resolver, Supervisor::default());
        let stop = CancellationToken::new();
        stop.cancel();
        let link = Link::start(&settings, &TaskTracker::new(), stop);
        let (relays, seen) = watch::channel(1);
        let (recoveries, recovered) = broadcast::channel(MOST_WAITING);
        let (_, announced) = mpsc::channel(1);
        let member = Member {
            id: settings.boot,
            subject: names::fleet("p"),
            interval: settings.timing.heartbeat,
            link,
            others: HashMap::new(),
            relays,
            recoveries,
            announced,
        };
        Heard {
            member,
            relays: seen,
            recoveries: recovered,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn relays_are_counted_until_they_leave_or_are_silent() {
        let Heard {
            mut member, relays, ..
        } = member();
        let own = member.id.clone();
        assert!(!member.hear(format!("here {own}").as_bytes()));
        assert_eq!(*relays.borrow(), 1, "itself");
        assert!(member.hear(b"join a"), "a new relay is answered");
        assert!(member.hear(b"here b"), "its sign of life was missed");
        assert!(!member.hear(b"here b"));
        assert!(member.hear(b"join b"), "it has lost its connection");
        assert_eq!(*relays.borrow(), 3);
        tokio::time::advance(member.interval * 2).await;
        member.hear(b"here b");
        member.forget();
        assert_eq!(*relays.borrow(), 3);
        tokio::time::advance(member.interval + member.interval / 2).await;
        member.forget();
        assert_eq!(*relays.borrow(), 2, "a was silent");
        member.hear(b"leave b");
        member.hear(b"leave c");
        assert_eq!(*relays.borrow(), 1);
    }

    #[tokio::test]
    async fn a_recovery_has_the_name_of_the_target_and_nonsense_is_ignored() {
        let Heard {
            mut member,
            relays,
            mut recoveries,
        } = member();
        member.hear(b"recovered a eu west 1");
        assert_eq!(&*recoveries.recv().await.unwrap(), "eu west 1");
        let long = format!("here {}", "x".repeat(1_000));
        for nonsense in [&b""[..], b"here", b"\xff\xfe", long.as_bytes()] {
            assert!(!member.hear(nonsense));
        }
        assert_eq!(*relays.borrow(), 2);
        for number in 0..2 * MOST_RELAYS {
            member.hear(format!("here {number}").as_bytes());
        }
        assert_eq!(*relays.borrow() as usize, MOST_RELAYS + 1);
    }
}
