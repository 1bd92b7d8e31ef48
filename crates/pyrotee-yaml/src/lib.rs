//! YAML as a tree of texts with line numbers ([`Node`]), for files that people write: [`parse`] reports duplicate keys and
//! the other faults of a document all at once, each with its line and the path of its key.
//!
//! Every scalar stays text. Depth and number of nodes are limited, aliases counted in full; the caller limits the size of
//! the text. [`values`] types scalars. Nothing here panics on a text. A [`Fault`] repeats no value, and a key only as far as it looks like one
//! ([`shown()`]): a value may be a secret.

mod builder;
mod document;
mod fault;
mod shown;
mod suggestion;
pub mod values;

pub use document::{Entry, Kind, Node, parse};
pub use fault::Fault;
pub use shown::{dotted, shown, shown_value, with_semicolon};
pub use suggestion::nearest;

#[cfg(test)]
mod tests;
