//! Output of commands: text, JSON, tables and progress, on stdout and stderr.

mod progress;
mod table;
mod units;
mod wrap;

use std::fmt;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

pub(crate) use progress::{ProgressDisplay, Unit};
pub(crate) use table::Table;
pub(crate) use units::{age, counted, parse_duration, profiles, size};
pub(crate) use wrap::wrap;

/// Prints to stdout. It is no error if the reader has closed the output.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    write(&mut io::stdout().lock(), text).map(drop)
}

/// Prints a JSON document to stdout, by [`visible_json`](pyrotee_client::visible_json).
pub(crate) fn print_json(json: &str) -> anyhow::Result<()> {
    print(&pyrotee_client::visible_json(json))
}

/// Prints a line to stderr; failures are ignored.
pub(crate) fn print_error(text: &dyn fmt::Display) {
    let _written = writeln!(io::stderr().lock(), "{text}");
}

/// Writes `text`; `false` if the reader has closed the output.
pub(crate) fn write(out: &mut impl Write, text: &str) -> anyhow::Result<bool> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written
            .map(|()| true)
            .context("failed to write to the output"),
    }
}

/// Width of the terminal on stdout; `None` if stdout is no terminal.
pub(crate) fn terminal_width() -> Option<usize> {
    let size = terminal_size::terminal_size_of(io::stdout());
    size.map(|(width, _)| usize::from(width.0))
}
