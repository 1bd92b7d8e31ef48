//! A PushRequest in protobuf.

use std::ops::Range;

use bytes::Bytes;

use crate::contents::{MessageContents, lossy_text};
use crate::proto::{Fields, last, put_field};
use crate::splice::remove_tagged;
use crate::splice::{Splice, cut};
use crate::tags::Tags;
use crate::undecodable::Undecodable;

/// Adds the tags to every series.
pub(crate) fn upsert(
    source: &Bytes,
    tags: &Tags,
    limit_bytes: usize,
) -> Result<Vec<Bytes>, Undecodable> {
    let mut labels = Vec::new();
    for (name, value) in tags.iter() {
        let mut pair = Vec::with_capacity(name.len() + value.len() + 8);
        put_field(&mut pair, 1, name.as_bytes());
        put_field(&mut pair, 2, value.as_bytes());
        put_field(&mut labels, 1, &pair);
    }

    let mut splice = Splice::new(limit_bytes);
    for series in Fields::new(source) {
        let series = series?;
        if series.number != 1 {
            continue;
        }
        let list = series.delimited()?;
        let open = splice.open(&series);
        remove_tagged(&mut splice, source, list, tags, |pair| name(source, pair))?;
        splice.close(&open, source, &series, &labels);
        splice.check()?;
    }
    splice.apply(source)
}

/// Parses a message.
pub(crate) fn contents(source: &Bytes) -> Result<MessageContents, Undecodable> {
    let mut contents = MessageContents::default();
    for series in Fields::new(source) {
        let series = series?;
        if series.number != 1 {
            continue;
        }
        contents.series += 1;
        for field in Fields::within(source, series.delimited()?) {
            let field = field?;
            match field.number {
                1 if contents.series == 1 => {
                    let pair = field.delimited()?;
                    let value = last(source, pair.clone(), 2)?;
                    let value = source.get(value.unwrap_or_default()).unwrap_or_default();
                    let name = name(source, pair)?;
                    contents.labels.push((lossy_text(name), lossy_text(value)));
                }
                2 => {
                    let profile = last(source, field.delimited()?, 1)?;
                    let profile = profile.map(|range| cut(source, range));
                    contents.profiles.push(profile.unwrap_or_default());
                }
                _ => {}
            }
        }
    }
    Ok(contents)
}

fn name(source: &[u8], pair: Range<usize>) -> Result<&[u8], Undecodable> {
    let name = last(source, pair, 1)?;
    Ok(source.get(name.unwrap_or_default()).unwrap_or_default())
}
