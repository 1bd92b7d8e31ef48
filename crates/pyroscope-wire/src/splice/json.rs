//! Values of a JSON text and their positions in it.
//!
//! If an object has a key twice, the last value counts. Pyroscope refuses such a text.

use std::ops::Range;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Deserializer, Value};

use crate::splice::Splice;
use crate::tags::Tags;
use crate::undecodable::Undecodable;

/// Most members of one object. The schemas have less than twenty.
const MAX_MEMBERS: usize = 4096;

/// Most elements of lists that an edit looks at. Each element costs the time to parse it, even if it is empty.
const MAX_ELEMENTS: usize = 1 << 20;

/// An object of a JSON text that has been validated as a whole.
///
/// The members are parsed again on each access and not stored. Stored members of a text of commas and
/// brackets would take many times the memory of the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct JsonObject<'a>(&'a RawValue);

impl<'a> JsonObject<'a> {
    /// The outermost object of a text.
    pub(crate) fn root(source: &'a [u8]) -> Result<Self, Undecodable> {
        let text = std::str::from_utf8(source).map_err(|_not_utf8| Undecodable::Json)?;
        let raw: &RawValue = serde_json::from_str(text).map_err(|_malformed| Undecodable::Json)?;
        Self::read(raw)
    }

    pub(crate) fn read(raw: &'a RawValue) -> Result<Self, Undecodable> {
        let is_object = raw.get().starts_with('{');
        is_object.then_some(Self(raw)).ok_or(Undecodable::Json)
    }

    /// The value of a key; `None` if it is absent or `null`, which are the same in protobuf's JSON.
    pub(crate) fn get(self, key: &str) -> Result<Option<&'a RawValue>, Undecodable> {
        let value = self.find(key)?;
        Ok(value.filter(|value| value.get() != "null"))
    }

    /// The elements of a list; no elements if the list is absent.
    pub(crate) fn list(self, key: &str) -> Result<JsonValues<'a>, Undecodable> {
        let text = match self.get(key)? {
            Some(list) if list.get().starts_with('[') => list.get(),
            Some(_) => return Err(Undecodable::Json),
            None => "[]",
        };
        Ok(JsonValues { text, at: 1 })
    }

    /// The string of a key; empty if it is absent.
    pub(crate) fn string(self, key: &str) -> Result<String, Undecodable> {
        Ok(self.get(key)?.map(string).transpose()?.unwrap_or_default())
    }

    fn find(self, key: &str) -> Result<Option<&'a RawValue>, Undecodable> {
        let mut found = None;
        let mut members = self.members();
        let mut count = 0;
        while let Some(name) = members.next().transpose()? {
            count += 1;
            if count > MAX_MEMBERS {
                return Err(Undecodable::Json);
            }
            let value = members.value()?;
            if string(name)? == key {
                found = Some(value);
            }
        }
        Ok(found)
    }

    fn is_empty(self) -> bool {
        self.members().next().is_none()
    }

    /// The keys. The caller must take the value of each key with [`JsonValues::value`].
    fn members(self) -> JsonValues<'a> {
        let text = self.0.get();
        JsonValues { text, at: 1 }
    }
}

/// Iterates over the values between two brackets.
#[derive(Debug)]
pub(crate) struct JsonValues<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> JsonValues<'a> {
    fn value(&mut self) -> Result<&'a RawValue, Undecodable> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ',', ':']);
        let mut values = Deserializer::from_str(rest).into_iter();
        let value = values.next().and_then(Result::ok);
        self.at = self.text.len() - rest.len() + values.byte_offset();
        value.ok_or(Undecodable::Json)
    }
}

impl<'a> Iterator for JsonValues<'a> {
    type Item = Result<&'a RawValue, Undecodable>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = rest.trim_start().starts_with([']', '}']);
        (!end && !rest.is_empty()).then(|| self.value())
    }
}

/// A string with its escapes decoded.
pub(crate) fn string(raw: &RawValue) -> Result<String, Undecodable> {
    serde_json::from_str(raw.get()).map_err(|_not_text| Undecodable::Json)
}

/// Edits of one JSON text.
#[derive(Debug)]
pub(crate) struct JsonEditor<'a> {
    source: &'a Bytes,
    splice: Splice,
    /// Elements of lists that were looked at.
    elements: usize,
}

impl<'a> JsonEditor<'a> {
    /// An empty list of edits, which may take `limit_bytes` of memory.
    pub(crate) fn new(source: &'a Bytes, limit_bytes: usize) -> Self {
        Self {
            source,
            splice: Splice::new(limit_bytes),
            elements: 0,
        }
    }

    /// Counts an element of a list before the caller looks at it.
    ///
    /// # Errors
    /// There are too many elements, or the edits exceed their limit: the caller need not read on.
    pub(crate) fn look_at_element(&mut self) -> Result<(), Undecodable> {
        self.elements += 1;
        match self.elements > MAX_ELEMENTS {
            true => Err(Undecodable::Json),
            false => self.splice.check(),
        }
    }

    /// Sets a key, whose old value is replaced.
    pub(crate) fn set(
        &mut self,
        object: JsonObject<'a>,
        key: &str,
        value: &str,
    ) -> Result<(), Undecodable> {
        if let Some(old) = object.find(key)? {
            let old = self.range(old);
            self.splice.replace(old, value.as_bytes());
            return Ok(());
        }
        let key = quoted(key);
        let comma = if object.is_empty() { "" } else { "," };
        let at = self.range(object.0).start + 1;
        let pair = format!("{key}:{value}{comma}");
        self.splice.replace(at..at, pair.as_bytes());
        Ok(())
    }

    /// Puts tags into the list `key` of an object: removes the elements for which `is_tagged` is true,
    /// and puts `fresh`, the tags as elements separated by commas, before the others.
    pub(crate) fn upsert(
        &mut self,
        object: JsonObject<'a>,
        key: &str,
        fresh: &str,
        is_tagged: impl Fn(&'a RawValue) -> Result<bool, Undecodable>,
    ) -> Result<(), Undecodable> {
        let Some(list) = object.get(key)? else {
            return self.set(object, key, &format!("[{fresh}]"));
        };
        let list = self.range(list);
        let end = list.end - 1;
        // The text up to `settled` needs no more edits. `gap` is true if the element behind `settled` was
        // removed.
        let mut settled = list.start + 1;
        let mut gap = false;
        let mut first = true;
        for element in object.list(key)? {
            self.look_at_element()?;
            let element = element?;
            if is_tagged(element)? {
                gap = true;
                continue;
            }
            let element = self.range(element);
            let until = if gap { element.start } else { settled };
            if first {
                let text = format!("{fresh},");
                self.splice.replace(settled..until, text.as_bytes());
            } else if gap {
                self.splice.replace(settled..until, b",");
            }
            (settled, gap, first) = (element.end, false, false);
        }
        if first {
            self.splice.replace(settled..end, fresh.as_bytes());
        } else if gap {
            self.splice.remove(settled..end);
        }
        Ok(())
    }

    /// The edited text in pieces.
    ///
    /// # Errors
    /// The edits exceed the limit.
    pub(crate) fn finish(self) -> Result<Vec<Bytes>, Undecodable> {
        self.splice.apply(self.source)
    }

    fn range(&self, raw: &RawValue) -> Range<usize> {
        range(self.source, raw)
    }
}

/// The tags as elements of a list, with commas between them.
pub(crate) fn elements(tags: &Tags, element: impl Fn(&str, &str) -> String) -> String {
    let elements: Vec<_> = tags
        .iter()
        .map(|(key, value)| element(&quoted(key), &quoted(value)))
        .collect();
    elements.join(",")
}

/// A value as a slice of the source, without a copy.
pub(crate) fn slice(source: &Bytes, raw: &RawValue) -> Bytes {
    super::cut(source, range(source, raw))
}

/// The parts of a value around some of its inner values, as slices of the source.
pub(crate) fn around<const N: usize>(
    source: &Bytes,
    raw: &RawValue,
    inner: [Option<&RawValue>; N],
) -> Vec<Bytes> {
    let whole = range(source, raw);
    let mut holes: Vec<_> = inner
        .into_iter()
        .flatten()
        .map(|raw| range(source, raw))
        .collect();
    holes.sort_by_key(|hole| hole.start);
    let mut start = whole.start;
    let mut parts = Vec::with_capacity(N + 1);
    for hole in holes {
        parts.push(super::cut(source, start..hole.start));
        start = hole.end;
    }
    parts.push(super::cut(source, start..whole.end));
    parts
}

/// The range of a value in the text from which it was parsed.
fn range(source: &[u8], raw: &RawValue) -> Range<usize> {
    let start = raw.get().as_ptr().addr() - source.as_ptr().addr();
    start..start + raw.get().len()
}

pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
