//! The figures of a load: requests, responses and latencies.

use std::{cell::RefCell, io, rc::Rc};

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::schedule::Ticket;

/// Time between two points of a plot, in seconds.
const WINDOW: f64 = 0.1;

/// Longest latency of the histogram, in microseconds: ten minutes. Longer ones count as this.
const LONGEST: u64 = 600_000_000;

/// Percentiles of latency, in milliseconds.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) max: f64,
}

/// The requests that were due in one window of a tenth of a second.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Window {
    /// The begin of the window, in seconds.
    pub(crate) at: f64,
    pub(crate) due: u64,
    pub(crate) answered: u64,
    /// Latency in milliseconds; a request without a response counts up to the end of the run.
    pub(crate) p50: f64,
    pub(crate) max: f64,
}

/// The last line that a load prints.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Figures {
    /// Requests that count: due, or begun, after the warm-up.
    pub(crate) sent: u64,
    pub(crate) answered: u64,
    /// Requests whose response came before the end of sending.
    pub(crate) in_time: u64,
    pub(crate) errors: u64,
    /// Requests without a response at the end of `patience`.
    pub(crate) stuck: u64,
    /// Requests that were due while no connection was free.
    pub(crate) unsent: u64,
    /// All responses with status 200, including the warm-up; the upstream must have received as many requests.
    pub(crate) taken: u64,
    /// Body numbers that were used, including the warm-up.
    pub(crate) numbers: u64,
    /// Responses per second, of the responses in time.
    pub(crate) rate: f64,
    pub(crate) latency: Latency,
    /// 99th percentile of the lateness of the schedule itself, in milliseconds.
    pub(crate) late_p99: f64,
    pub(crate) first_error: Option<String>,
    pub(crate) windows: Vec<Window>,
}

/// Keeps the accounts of all clients.
#[derive(Debug)]
pub(super) struct Book {
    from: Instant,
    end: Instant,
    pages: RefCell<Pages>,
}

#[derive(Debug)]
struct Pages {
    figures: Figures,
    latency: Histogram<u64>,
    late: Histogram<u64>,
    /// When each request was due and when its response came, in seconds; for the windows.
    requests: Vec<(f64, Option<f64>)>,
    under_way: Vec<(u64, Instant)>,
}

impl Book {
    pub(super) fn new(from: Instant, end: Instant) -> Rc<Self> {
        let histogram = || Histogram::new_with_bounds(1, LONGEST, 3).expect("these are bounds");
        let pages = Pages {
            figures: Figures::default(),
            latency: histogram(),
            late: histogram(),
            requests: Vec::new(),
            under_way: Vec::new(),
        };
        Rc::new(Self {
            from,
            end,
            pages: RefCell::new(pages),
        })
    }

    pub(super) fn sent(&self, ticket: Ticket) {
        if ticket.from >= self.from {
            let mut pages = self.pages.borrow_mut();
            pages.figures.sent += 1;
            pages.under_way.push((ticket.number, ticket.from));
            pages.late.saturating_record(micros(ticket.late));
        }
    }

    pub(super) fn answered(&self, ticket: Ticket, response: io::Result<()>) {
        let now = Instant::now();
        let mut pages = self.pages.borrow_mut();
        pages.figures.taken += u64::from(response.is_ok());
        if ticket.from < self.from {
            return;
        }
        let place = pages
            .under_way
            .iter()
            .position(|(number, _)| *number == ticket.number);
        if let Some(place) = place {
            pages.under_way.swap_remove(place);
        }
        match response {
            Ok(()) => {
                pages.figures.answered += 1;
                pages.figures.in_time += u64::from(now <= self.end);
                pages.latency.saturating_record(micros(now - ticket.from));
                let times = (self.seconds(ticket.from), Some(self.seconds(now)));
                pages.requests.push(times);
            }
            Err(error) => {
                pages.figures.errors += 1;
                pages.figures.first_error.get_or_insert(error.to_string());
            }
        }
    }

    /// Ends the accounts and computes the figures.
    pub(super) fn close(&self, unsent: &[Ticket], numbers: u64) -> Figures {
        let now = self.seconds(Instant::now());
        let mut pages = self.pages.borrow_mut();
        let stuck: Vec<_> = pages.under_way.drain(..).collect();
        let open = stuck.iter().map(|(_, from)| *from);
        let open = open.chain(unsent.iter().map(|ticket| ticket.from));
        let open: Vec<_> = open.map(|from| (self.seconds(from), None)).collect();
        pages.requests.extend(open);
        let latency = &pages.latency;
        let at = |quantile| latency.value_at_quantile(quantile) as f64 / 1e3;
        let seconds = (self.end - self.from).as_secs_f64();
        Figures {
            stuck: stuck.len() as u64,
            unsent: unsent.len() as u64,
            numbers,
            rate: pages.figures.in_time as f64 / seconds,
            latency: Latency {
                p50: at(0.5),
                p90: at(0.9),
                p99: at(0.99),
                p999: at(0.999),
                max: latency.max() as f64 / 1e3,
            },
            late_p99: pages.late.value_at_quantile(0.99) as f64 / 1e3,
            windows: windows(&mut pages.requests, now),
            ..pages.figures.clone()
        }
    }

    fn seconds(&self, at: Instant) -> f64 {
        at.saturating_duration_since(self.from).as_secs_f64()
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX).max(1)
}

/// Requests grouped by the tenth of a second in which they were due.
fn windows(requests: &mut [(f64, Option<f64>)], end: f64) -> Vec<Window> {
    requests.sort_by(|one, other| one.0.total_cmp(&other.0));
    let same =
        |one: &(f64, _), other: &(f64, _)| (one.0 / WINDOW).floor() == (other.0 / WINDOW).floor();
    let groups = requests.chunk_by(same);
    groups
        .map(|group| {
            let took = group
                .iter()
                .map(|(due, done)| (done.unwrap_or(end) - due) * 1e3);
            let mut took: Vec<f64> = took.collect();
            took.sort_by(f64::total_cmp);
            Window {
                at: (group[0].0 / WINDOW).floor() * WINDOW,
                due: group.len() as u64,
                answered: group.iter().filter(|(_, done)| done.is_some()).count() as u64,
                p50: took[took.len() / 2],
                max: took[took.len() - 1],
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_in_three_digits() {
        let now = Instant::now();
        let book = Book::new(now, now + std::time::Duration::from_secs(1));
        let ticket = Ticket {
            number: 1,
            from: now - std::time::Duration::from_millis(250),
            late: std::time::Duration::ZERO,
        };
        book.pages
            .borrow_mut()
            .latency
            .saturating_record(micros(now - ticket.from));
        let figures = book.close(&[], 1);
        assert!((figures.latency.p50 - 250.0).abs() < 0.5, "{figures:?}");
    }

    #[test]
    fn what_is_never_answered_takes_until_the_end() {
        let mut requests = [(0.15, Some(0.151)), (0.01, Some(0.012)), (0.12, None)];
        let windows = windows(&mut requests, 2.12);
        assert_eq!(windows.len(), 2);
        assert_eq!((windows[1].due, windows[1].answered), (2, 1));
        assert!((windows[1].max - 2_000.0).abs() < 1e-6, "{windows:?}");
    }
}
