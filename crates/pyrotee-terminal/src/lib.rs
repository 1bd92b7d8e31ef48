//! Output of the commands: text, JSON, tables and progress, on stdout and stderr, and text from the network that cannot
//! control a terminal.

mod layout;
mod markdown;
mod progress;
mod table;
mod units;
mod visible;
mod wrap;

use std::fmt;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

pub use layout::Layout;
pub use markdown::without_links;
pub use progress::{ProgressDisplay, Unit};
pub use table::Table;
pub use units::{age, counted, parse_duration, profiles, size};
pub use visible::{visible, visible_json};
pub use wrap::wrap;

/// Prints to stdout. It is no error if the reader has closed the output.
pub fn print(text: &str) -> anyhow::Result<()> {
    write(&mut io::stdout().lock(), text).map(drop)
}

/// Prints a JSON document to stdout, by [`visible_json`].
pub fn print_json(json: &str) -> anyhow::Result<()> {
    print(&visible_json(json))
}

/// Prints a line to stderr; failures are ignored.
pub fn print_error(text: &dyn fmt::Display) {
    let _written = writeln!(io::stderr().lock(), "{text}");
}

/// Writes `text`; `false` if the reader has closed the output.
pub fn write(out: &mut impl Write, text: &str) -> anyhow::Result<bool> {
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        written => written
            .map(|()| true)
            .context("failed to write to the output"),
    }
}

/// Width of the terminal on stdout; `None` if stdout is no terminal.
pub fn terminal_width() -> Option<usize> {
    let size = terminal_size::terminal_size_of(io::stdout());
    size.map(|(width, _)| usize::from(width.0))
}
