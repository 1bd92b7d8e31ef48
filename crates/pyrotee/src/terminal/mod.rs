//! What commands write for whoever ran them.

mod bar;
mod visible;

use std::fmt;
use std::io::{self, ErrorKind, Write};

use anyhow::Context;

pub(crate) use bar::Bar;
pub(crate) use visible::visible;

/// To stdout; whoever closed it has seen enough.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    write(&mut io::stdout().lock(), text).map(drop)
}

/// A line to stderr. It may be closed: then nobody is told.
pub(crate) fn complain(text: &dyn fmt::Display) {
    let _told = writeln!(io::stderr().lock(), "{text}");
}

/// Whether anybody is still there to read.
pub(crate) fn write(out: &mut impl Write, text: &str) -> anyhow::Result<bool> {
    let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    match printed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        printed => printed
            .map(|()| true)
            .context("failed to write to the output"),
    }
}
