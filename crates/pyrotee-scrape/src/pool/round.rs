//! One scrape of a loop: fetch, process, send.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::CONTENT_ENCODING;
use http::{HeaderMap, StatusCode};
use pyrotee_queue::{Part, Reservation};
use tokio::time::{Instant, timeout};

use super::app_clock::is_clock_off;
use super::outcome::Outcome;
use super::scrape_loop::Loop;
use crate::fetch::{FetchError, Room, read_within};
use crate::form;
use crate::limits::Place;
use crate::metrics::{Failure, Skip};
use crate::process::{Expected, LoopState, Processed, Received, Stop};
use crate::schedule::window;

/// How long a profile waits for memory to be unpacked in.
const WORKSPACE_LIMIT: Duration = Duration::from_secs(5);

/// How often a profile is unpacked with a larger workspace before it is skipped.
const MAX_WORKSPACES: usize = 6;

/// Time limit for the relay to respond to a profile. The upstream's own limit is usually less.
const SEND_LIMIT: Duration = Duration::from_secs(90);

/// A profile that can be sent.
pub(super) struct Scraped {
    processed: Processed,
    memory: Reservation,
}

impl Loop {
    /// Gets a profile of the application.
    pub(super) async fn scrape(&mut self) -> Result<Scraped, Outcome> {
        let shared = Arc::clone(&self.context.shared);
        // An application that was asked for `seconds` responds after that time.
        let mut place = match self.target.seconds {
            Some(_) => shared.places.without(),
            None => shared.places.take().await,
        };
        let no_memory = || Outcome::of(&FetchError::NoMemory);
        let mut memory = shared.budget.reserve_recording(0).ok_or_else(no_memory)?;
        let received = self.fetch(&mut place, &mut memory).await?;
        // Before the baseline changes, memory for the request is charged: the delta must not be lost for want of it.
        let config = self.config.as_ref().map_or(0, String::len);
        let beside = (config + form::OVERHEAD) as u64;
        let request = received.body.len() as u64 + beside;
        if !memory.grow(request) {
            return Err(no_memory());
        }
        let processed = self.process(received).await?;
        let request = processed.profile.len() as u64 + beside;
        match memory.resize(processed.profile.len() as u64 + request) {
            true => Ok(Scraped { processed, memory }),
            false => Err(no_memory()),
        }
    }

    async fn fetch(
        &self,
        place: &mut Place,
        memory: &mut Reservation,
    ) -> Result<Received, Outcome> {
        let (target, context) = (&self.target, &self.context);
        context.metrics.scrapes.increment(1);
        let began = Instant::now();
        let limit_bytes = self.max_body();
        let mut has_head = false;
        let fetched = timeout(target.timeout, async {
            let (client, none) = (context.client(target.origin), HeaderMap::new());
            let response = place.wait(client.get(&target.url, &none)).await?;
            has_head = true;
            let (head, body) = response.into_parts();
            let room = Room {
                limit_bytes,
                remedy: "raise scrape.max-body and body-size-limit",
                place: Some(place),
                memory: Some(memory),
            };
            let body = read_within(body, room).await?;
            let coding = head.headers.get(CONTENT_ENCODING).cloned();
            Ok(Received { body, coding })
        });
        let fetched = match fetched.await {
            Ok(fetched) => fetched,
            Err(_elapsed) => Err(FetchError::timeout(target.timeout, has_head)),
        };
        self.series.duration.record(began.elapsed());
        let received = fetched.map_err(|error| Outcome::of(&error))?;
        self.series.size.record(received.body.len() as f64);
        Ok(received)
    }

    fn max_body(&self) -> u64 {
        let limit = self.context.shared.variable().limits.max_body;
        self.context.max_body.map_or(limit, |it| it.min(limit))
    }

    /// Makes the profile to send, on a thread of its own.
    async fn process(&mut self, received: Received) -> Result<Processed, Outcome> {
        let shared = Arc::clone(&self.context.shared);
        let max_unpacked = shared.variable().limits.max_unpacked;
        let max_unpacked = usize::try_from(max_unpacked).unwrap_or(usize::MAX);
        let mut wanted = None;
        for _ in 0..MAX_WORKSPACES {
            let state = self.state.take();
            let mut state = state.unwrap_or_else(|| LoopState::new(&shared.state));
            let received = received.clone();
            let largest = shared.budget.largest_workspace();
            let expected = Expected {
                max_unpacked,
                profile: Arc::clone(&self.profile),
            };
            // An estimate may be too large; what is needed may not.
            let bytes =
                wanted.unwrap_or_else(|| state.first_workspace(&received, &expected).min(largest));
            let workspace = timeout(WORKSPACE_LIMIT, shared.budget.workspace(bytes)).await;
            let Ok(Some(mut workspace)) = workspace else {
                self.state = Some(state);
                return Err(no_workspace(bytes, largest));
            };
            let _worker = shared.workers.acquire().await.ok();
            let supervisor = shared.supervisor.clone();
            let work = move || {
                let result = state.process(&received, &expected, &mut workspace);
                (state, result)
            };
            let worked = move || supervisor.catch(Part::Scrape, work);
            let Ok(Ok((state, result))) = tokio::task::spawn_blocking(worked).await else {
                let text = "reading the profile panicked, which is a bug of pyrotee".to_owned();
                return Err(Outcome::Failed(Failure::Delta, text));
            };
            self.state = Some(state);
            match result {
                Ok(processed) => return Ok(processed),
                Err(Stop::NeedsMore(bytes)) => wanted = Some(bytes),
                Err(Stop::Skip(skip, text)) => return Err(Outcome::Skipped(skip, text)),
                Err(Stop::Fail(failure, text)) => return Err(Outcome::Failed(failure, text)),
            }
        }
        let largest = shared.budget.largest_workspace();
        Err(no_workspace(wanted.unwrap_or_default(), largest))
    }

    /// Sends a profile that was due at `due` through the relay.
    pub(super) async fn send(&self, scraped: Scraped, due: SystemTime) -> Outcome {
        let Scraped {
            processed,
            mut memory,
        } = scraped;
        let (context, target) = (&self.context, &self.target);
        if let Some(stacks) = processed.stacks {
            self.series.samples.record(stacks as f64);
        }
        self.check_clock(processed.time_nanos);
        let (from, until) = window(due, target.interval, target.seconds);
        let description = form::Description {
            name: &target.name,
            spy_name: &target.spy_name,
            from,
            until,
            sample_type_config: self.config.as_deref(),
        };
        let headers = &context.shared.variable().headers;
        let request = form::request(&processed.profile, &description, headers);
        let is_reset = processed.is_reset;
        drop(processed);
        memory.resize(request.body().len() as u64);
        let sent = timeout(SEND_LIMIT, context.shared.sender.send(request)).await;
        drop(memory);
        let problem = match sent {
            Ok(Ok(response)) if response.status().is_success() => {
                return Outcome::Sent { is_reset };
            }
            Ok(Ok(response)) => refusal(response.status(), response.body()),
            Ok(Err(error)) => format!("the relay did not respond: {error}"),
            Err(_elapsed) => format!("the relay did not respond within {SEND_LIMIT:?}"),
        };
        Outcome::Failed(Failure::Refused, problem)
    }

    /// Warns of a profile whose time makes Pyroscope refuse it.
    fn check_clock(&self, time_nanos: i64) {
        let context = &self.context;
        if is_clock_off(time_nanos, context.shared.clock.now())
            && let Some(left_out) = context.log.due("clock")
        {
            let (job, url) = (&context.name, &self.target.url);
            tracing::warn!(
                %job, %url, left_out,
                "the clock of the application is off, so that Pyroscope may refuse its profiles: check its time synchronization"
            );
        }
    }
}

fn no_workspace(wanted: u64, largest: u64) -> Outcome {
    let text = match wanted > largest {
        true => format!("unpacking takes {wanted} bytes, more than a quarter of memory-limit"),
        false => "memory-limit has no room to unpack the profile".to_owned(),
    };
    Outcome::Skipped(Skip::Budget, format!("{text}: raise memory-limit"))
}

/// The response of the relay's own stack to a profile that it refused.
fn refusal(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..256).unwrap_or(body)).into_owned();
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    format!(
        "the profile was refused with status {status}: {}",
        text.trim()
    )
}
