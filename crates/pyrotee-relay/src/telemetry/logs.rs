//! Structured logs on stderr.

use pyrotee_config::{Log, LogFormat, LogLevel};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt;

/// Installs the log for the whole process. A second call changes nothing.
pub(crate) fn install(log: &Log) {
    let level = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let subscriber = fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_target(false);
    let installed = match log.format {
        LogFormat::Json => {
            let subscriber = subscriber
                .json()
                .flatten_event(true)
                .with_current_span(false);
            tracing::subscriber::set_global_default(subscriber.with_span_list(false).finish())
        }
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr());
            tracing::subscriber::set_global_default(subscriber.with_ansi(colour).finish())
        }
    };
    if installed.is_err() {
        tracing::debug!("the log was installed before");
    }
}
