//! The schedule: when each request is due.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    io,
    rc::Rc,
};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::{
    io::unix::AsyncFd,
    sync::Notify,
    time::{Duration, Instant, sleep_until},
};

use super::Settings;

/// A request to be sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) number: u64,
    /// Begin of the latency: when a client got the ticket, or when the request was due if no client was free.
    pub(super) from: Instant,
    /// How late the schedule itself was.
    pub(super) late: Duration,
}

/// Issues tickets, at a rate or at once.
#[derive(Debug)]
pub(super) struct Schedule {
    rate: Option<f64>,
    start: Instant,
    end: Instant,
    first: u64,
    most: u64,
    issued: Cell<u64>,
    closed: Cell<bool>,
    waiting: RefCell<VecDeque<Ticket>>,
    idle: Cell<usize>,
    wake: Notify,
    timer: AsyncFd<rustix::fd::OwnedFd>,
}

impl Schedule {
    pub(super) fn new(settings: &Settings, start: Instant, end: Instant) -> io::Result<Rc<Self>> {
        // Timers of the runtime have a resolution of 1 ms, which is longer than many responses take.
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        #[expect(
            deprecated,
            reason = "an OwnedFd is safe here, and unsafe code is not allowed"
        )]
        let timer = AsyncFd::new(timerfd_create(TimerfdClockId::Monotonic, flags)?)?;
        Ok(Rc::new(Self {
            rate: settings.rate,
            start,
            end,
            first: settings.first,
            most: settings.count.unwrap_or(u64::MAX),
            issued: Cell::new(0),
            closed: Cell::new(false),
            waiting: RefCell::default(),
            idle: Cell::new(0),
            wake: Notify::new(),
            timer,
        }))
    }

    /// Issues tickets on time until the last request is due.
    pub(super) async fn run(&self) -> io::Result<()> {
        let Some(rate) = self.rate else {
            sleep_until(self.end).await;
            self.close();
            return Ok(());
        };
        loop {
            let due = self.start + Duration::from_secs_f64(self.issued.get() as f64 / rate);
            if due >= self.end || self.issued.get() >= self.most {
                break;
            }
            self.wait_until(due).await?;
            let now = Instant::now();
            let mut waiting = self.waiting.borrow_mut();
            let free = self.idle.get() > waiting.len();
            let ticket = self.issue(if free { now } else { due }, now - due);
            waiting.push_back(ticket);
            drop(waiting);
            self.wake.notify_one();
        }
        self.close();
        Ok(())
    }

    /// The next request for a client; `None` when no request is left.
    pub(super) async fn next(&self) -> Option<Ticket> {
        if self.rate.is_none() {
            let now = Instant::now();
            let over = now >= self.end || self.issued.get() >= self.most;
            return (!over).then(|| self.issue(now, Duration::ZERO));
        }
        loop {
            if let Some(ticket) = self.waiting.borrow_mut().pop_front() {
                return Some(ticket);
            }
            if self.closed.get() {
                // Only one client is woken for each ticket, so this one wakes the next client at the end.
                self.wake.notify_one();
                return None;
            }
            self.idle.set(self.idle.get() + 1);
            self.wake.notified().await;
            self.idle.set(self.idle.get() - 1);
        }
    }

    /// Requests that were due and that no client was free to send.
    pub(super) fn unsent(&self) -> Vec<Ticket> {
        self.waiting.borrow().iter().copied().collect()
    }

    /// Body numbers that were issued, including those of unsent requests.
    pub(super) fn issued(&self) -> u64 {
        self.issued.get()
    }

    fn issue(&self, from: Instant, late: Duration) -> Ticket {
        let number = self.first + self.issued.get();
        self.issued.set(self.issued.get() + 1);
        Ticket { number, from, late }
    }

    fn close(&self) {
        self.closed.set(true);
        self.wake.notify_waiters();
        self.wake.notify_one();
    }

    async fn wait_until(&self, due: Instant) -> io::Result<()> {
        if Instant::now() >= due {
            // The schedule is late. Yielding lets the clients run nevertheless.
            tokio::task::yield_now().await;
        }
        loop {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            let once = Itimerspec {
                it_interval: Timespec::default(),
                it_value: Timespec {
                    tv_sec: i64::try_from(left.as_secs()).map_err(io::Error::other)?,
                    tv_nsec: i64::from(left.subsec_nanos()),
                },
            };
            timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &once)?;
            // Setting it again makes the descriptor unreadable; nothing has to be read from it.
            self.timer.readable().await?.clear_ready();
        }
    }
}
