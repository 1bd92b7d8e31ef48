//! A PushRequest in protobuf's JSON.

use bytes::Bytes;

use crate::contents::MessageContents;
use crate::splice::json::{JsonEditor, JsonObject, elements, slice};
use crate::tags::Tags;
use crate::undecodable::Undecodable;

/// Adds the tags to every series.
pub(crate) fn upsert(
    source: &Bytes,
    tags: &Tags,
    limit_bytes: usize,
) -> Result<Vec<Bytes>, Undecodable> {
    let fresh = elements(tags, |name, value| {
        format!("{{\"name\":{name},\"value\":{value}}}")
    });
    let mut editor = JsonEditor::new(source, limit_bytes);
    for series in JsonObject::root(source)?.list("series")? {
        editor.look_at_element()?;
        let series = JsonObject::read(series?)?;
        editor.upsert(series, "labels", &fresh, |label| {
            Ok(tags.has(JsonObject::read(label)?.string("name")?.as_bytes()))
        })?;
    }
    editor.finish()
}

/// Parses a message.
pub(crate) fn contents(source: &Bytes) -> Result<MessageContents, Undecodable> {
    let mut contents = MessageContents::default();
    for series in JsonObject::root(source)?.list("series")? {
        let series = JsonObject::read(series?)?;
        contents.series += 1;
        if contents.series == 1 {
            for label in series.list("labels")? {
                let label = JsonObject::read(label?)?;
                let pair = (label.string("name")?, label.string("value")?);
                contents.labels.push(pair);
            }
        }
        for sample in series.list("samples")? {
            let sample = JsonObject::read(sample?)?;
            let profile = match sample.get("rawProfile")? {
                None => sample.get("raw_profile")?,
                found => found,
            };
            let profile = profile.map(|raw| slice(source, raw));
            contents.profiles.push(profile.unwrap_or_default());
        }
    }
    Ok(contents)
}
