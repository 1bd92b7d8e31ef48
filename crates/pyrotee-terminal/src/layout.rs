//! Where lines of a status end.

use crate::{terminal_width, visible, wrap};

/// The output of a status. Only the lines on a terminal are wrapped, and no line is ever cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A terminal of this width.
    Terminal(usize),
    /// A file or another command, which gets each text in one line.
    Pipe,
}

impl Layout {
    /// The output of this process.
    pub fn of_stdout() -> Self {
        terminal_width().map_or(Self::Pipe, Self::Terminal)
    }

    /// Width of the rows of a table, in columns.
    pub fn width(self) -> usize {
        match self {
            Self::Terminal(width) => width,
            Self::Pipe => usize::MAX,
        }
    }

    /// The lines of a text that no column is aligned to. The text may come from the network.
    pub fn lines(self, text: &str) -> Vec<String> {
        let text = visible(text);
        match self {
            Self::Terminal(width) => wrap(&text, width),
            Self::Pipe => vec![text],
        }
    }
}
