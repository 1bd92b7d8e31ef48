//! Notifies the service manager that started the relay (systemd, or a container engine that speaks its protocol): ready,
//! reloading, stopping, and the watchdog's beats.
//!
//! The manager names a datagram socket in `NOTIFY_SOCKET`; without the variable nothing is sent. `sd-notify` defines the
//! messages. The socket is our own, because that of `sd-notify` blocks while the manager does not read, and cannot reach
//! an abstract address.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::interval;

use crate::Health;

/// The variable with the address of the manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Beats within the time after which the manager restarts a relay that does not beat.
const BEATS_PER_LIMIT: u32 = 2;

/// The service manager of this process, if one wants to be notified. No call waits for it.
#[derive(Debug, Default)]
pub struct ServiceManager {
    socket: Option<UnixDatagram>,
    /// Time without a beat after which the manager restarts the relay. `None`: the manager expects no beats.
    watchdog: Option<Duration>,
    /// Whether the relay is ready and not stopping: otherwise the end of a reload would be taken for readiness.
    is_serving: AtomicBool,
}

impl ServiceManager {
    /// The manager that the environment names. Logs if it cannot be reached.
    pub fn from_environment() -> Self {
        let Some(address) = std::env::var_os(SOCKET) else {
            return Self::default();
        };
        let socket = connect(&address);
        if let Err(error) = &socket {
            let address = address.display();
            tracing::warn!(%address, %error, "service manager unreachable: no notification is sent");
        }
        Self {
            socket: socket.ok(),
            watchdog: sd_notify::watchdog_enabled(),
            is_serving: AtomicBool::new(false),
        }
    }

    /// Notifies that the relay is ready, which serves `targets` targets.
    pub fn ready(&self, targets: usize) {
        self.is_serving.store(true, Relaxed);
        self.notify(&[NotifyState::Ready, NotifyState::Status(&serving(targets))]);
    }

    /// Notifies that the relay stops, which takes `limit` at most.
    pub fn stopping(&self, limit: Duration) {
        self.is_serving.store(false, Relaxed);
        // `NotifyState::ExtendTimeoutUsec` ends at 71 minutes.
        let extended = format!("EXTEND_TIMEOUT_USEC={}", limit.as_micros());
        self.notify(&[
            NotifyState::Stopping,
            NotifyState::Custom(&extended),
            NotifyState::Status("stopping: delivering the queued profiles"),
        ]);
    }

    /// Beats as long as the data path is alive and this task runs, if the manager expects beats; else returns at once.
    /// The caller spawns the task on the runtime of the data path, so that no beat is sent while that runtime hangs.
    pub async fn beat(&self, health: &Health) {
        let (Some(limit), Some(_)) = (self.watchdog, &self.socket) else {
            return;
        };
        // An interval of zero would panic.
        let mut ticks = interval((limit / BEATS_PER_LIMIT).max(Duration::from_millis(1)));
        loop {
            ticks.tick().await;
            if health.is_alive() {
                self.notify(&[NotifyState::Watchdog]);
            }
        }
    }

    fn notify(&self, states: &[NotifyState<'_>]) {
        let Some(socket) = &self.socket else { return };
        let lines: String = states.iter().map(|state| format!("{state}\n")).collect();
        if let Err(error) = socket.send(lines.as_bytes()) {
            let message = states.first().map(ToString::to_string);
            tracing::warn!(message, %error, "failed to notify the service manager");
        }
    }
}

/// Notifications of one task that reloads: a reload is announced once, and its end only after that.
#[derive(Debug)]
pub struct ReloadNotices {
    manager: Arc<ServiceManager>,
    is_announced: bool,
}

impl ReloadNotices {
    pub fn new(manager: Arc<ServiceManager>) -> Self {
        Self {
            manager,
            is_announced: false,
        }
    }

    /// Notifies that a reload applies or refuses a configuration, unless that is announced.
    pub fn begin(&mut self) {
        if self.is_announced || !self.manager.is_serving.load(Relaxed) {
            return;
        }
        self.is_announced = true;
        // The protocol demands the time, by which the manager knows which reload has ended.
        if let Ok(now) = NotifyState::monotonic_usec_now() {
            self.manager.notify(&[NotifyState::Reloading, now]);
        }
    }

    /// Notifies that the announced reload has ended: `targets` targets are in force, and the configuration file was
    /// refused or not.
    pub fn end(&mut self, targets: usize, is_refused: bool) {
        if !std::mem::take(&mut self.is_announced) || !self.manager.is_serving.load(Relaxed) {
            return;
        }
        let mut status = serving(targets);
        if is_refused {
            status += "; configuration refused, configuration in force kept";
        }
        self.manager
            .notify(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }
}

fn serving(targets: usize) -> String {
    let noun = if targets == 1 { "target" } else { "targets" };
    format!("serving, {targets} {noun}")
}

/// A socket that sends to the manager's `address` and never waits. An address that begins with `@` is abstract.
fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(address)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A manager whose messages the returned socket receives.
    fn manager(watchdog: Option<Duration>) -> (Arc<ServiceManager>, UnixDatagram) {
        let (socket, received) = UnixDatagram::pair().unwrap();
        socket.set_nonblocking(true).unwrap();
        received.set_nonblocking(true).unwrap();
        let manager = ServiceManager {
            socket: Some(socket),
            watchdog,
            is_serving: AtomicBool::new(false),
        };
        (Arc::new(manager), received)
    }

    fn messages(socket: &UnixDatagram) -> Vec<String> {
        let next = || {
            let mut buffer = [0; 512];
            let length = socket.recv(&mut buffer).ok()?;
            Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_reload_is_announced_once_and_ends_once() {
        let (manager, received) = manager(None);
        let mut notices = ReloadNotices::new(Arc::clone(&manager));
        manager.ready(1);
        messages(&received);
        notices.end(1, false);
        assert!(messages(&received).is_empty(), "nothing was announced");
        notices.begin();
        notices.begin();
        notices.end(2, true);
        notices.end(2, true);
        let [reloading, ready] = messages(&received).try_into().unwrap();
        let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=");
        assert!(time.unwrap().trim_end().parse::<u64>().unwrap() > 0);
        assert_eq!(
            ready,
            "READY=1\nSTATUS=serving, 2 targets; configuration refused, configuration in force kept\n"
        );
    }

    #[test]
    fn a_reload_before_the_relay_is_ready_or_after_its_stop_is_not_notified() {
        let (manager, received) = manager(None);
        let mut notices = ReloadNotices::new(Arc::clone(&manager));
        notices.begin();
        notices.end(1, false);
        assert!(messages(&received).is_empty());
        manager.ready(1);
        assert_eq!(messages(&received), ["READY=1\nSTATUS=serving, 1 target\n"]);
        notices.begin();
        manager.stopping(Duration::from_secs(2 * 60 * 60));
        notices.end(1, false);
        let [_reloading, stopping] = messages(&received).try_into().unwrap();
        assert!(stopping.starts_with("STOPPING=1\nEXTEND_TIMEOUT_USEC=7200000000\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_gets_two_beats_within_its_limit() {
        let (manager, received) = manager(Some(Duration::from_secs(20)));
        let health = Health::default();
        let beating = manager.beat(&health);
        let _never = tokio::time::timeout(Duration::from_secs(25), beating).await;
        assert_eq!(messages(&received), ["WATCHDOG=1\n"; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_data_path_without_a_heartbeat_gets_no_beats() {
        let (manager, received) = manager(Some(Duration::from_secs(20)));
        let health = Health::default();
        let beating = manager.beat(&health);
        let _never = tokio::time::timeout(Duration::from_secs(600), beating).await;
        assert!(
            messages(&received).len() < 8,
            "beats until the data path counts as dead"
        );
    }

    #[tokio::test]
    async fn a_manager_that_reads_nothing_is_not_waited_for() {
        let (manager, _received) = manager(None);
        for _ in 0..10_000 {
            manager.ready(1);
        }
        // Neither beats without a watchdog nor notifications without a manager.
        manager.beat(&Health::default()).await;
        ServiceManager::default().ready(1);
    }

    #[test]
    fn an_abstract_address_is_reached() {
        let name = format!("pyrotee-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let received = UnixDatagram::bind_addr(&address).unwrap();
        let socket = connect(OsStr::new(&format!("@{name}"))).unwrap();
        socket.send(b"READY=1\n").unwrap();
        received.set_nonblocking(true).unwrap();
        assert_eq!(messages(&received), ["READY=1\n"]);
    }
}
