//! What commands write for whoever ran them.

mod bar;

use std::io::{self, ErrorKind, Write};

use anyhow::Context;

pub(crate) use bar::Bar;

/// To stdout; whoever closed it has seen enough.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    write(&mut io::stdout().lock(), text).map(drop)
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
