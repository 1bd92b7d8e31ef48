//! Structured logs on stderr.

use pyrotee_config::{Log, LogFormat, LogLevel};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, fmt, reload};

/// Changes the level of the log while the relay runs.
#[derive(Debug, Clone)]
pub(crate) struct LogLevelHandle(reload::Handle<Targets, Registry>);

impl LogLevelHandle {
    /// Logs events of this level and graver ones from now on.
    pub(crate) fn set(&self, level: LogLevel) {
        // The log ends with the process.
        self.0.reload(filter(level)).ok();
    }
}

/// Installs the log for the whole process. A second call changes nothing.
pub(crate) fn install(log: &Log) -> LogLevelHandle {
    let (level, handle) = reload::Layer::new(filter(log.level));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let registry = tracing_subscriber::registry().with(level);
    let installed = match log.format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            let lines = lines.with_current_span(false).with_span_list(false);
            registry.with(lines).try_init()
        }
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            registry.with(lines.with_ansi(colour)).try_init()
        }
    };
    if installed.is_err() {
        tracing::debug!("the log was installed before");
    }
    LogLevelHandle(handle)
}

/// The client of NATS logs each attempt to connect, without a limit; `pyrotee-jetstream` logs the changes, with remedies.
const SILENT: &str = "async_nats";

fn filter(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let libraries = Targets::new().with_target(SILENT, LevelFilter::OFF);
    libraries.with_default(level)
}
