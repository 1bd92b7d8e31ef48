//! An ExportProfilesServiceRequest in protobuf.

use std::cell::OnceCell;
use std::ops::Range;

use bytes::Bytes;

use crate::message::{MessageContents, lossy_text};
use crate::splice::proto::{Fields, last, put_field, remove_tagged};
use crate::splice::{Splice, cut};
use crate::tags::Tags;
use crate::undecodable::Undecodable;

/// Adds the tags to every resource.
pub(crate) fn upsert(
    source: &Bytes,
    tags: &Tags,
    limit_bytes: usize,
) -> Result<Vec<Bytes>, Undecodable> {
    let tags = &*super::with_app_attribute(tags);
    let attributes = encode_attributes(tags);
    let mut resource = Vec::with_capacity(attributes.len() + 8);
    put_field(&mut resource, 1, &attributes);
    let strings = ProtoStringTable::new(source);

    let mut splice = Splice::new(limit_bytes);
    for profiles in Fields::new(source) {
        let profiles = profiles?;
        if profiles.number != 1 {
            continue;
        }
        let open = splice.open(&profiles);
        // A message that is there more than once is read as one with the fields of all.
        let mut missing = true;
        for field in Fields::within(source, profiles.delimited()?) {
            let field = field?;
            if field.number != 1 {
                continue;
            }
            let list = field.delimited()?;
            let open = splice.open(&field);
            remove_tagged(&mut splice, source, list, tags, |pair| strings.key(pair))?;
            let fresh = if missing { &attributes[..] } else { &[] };
            splice.close(&open, source, &field, fresh);
            missing = false;
        }
        let fresh = if missing { &resource[..] } else { &[] };
        splice.close(&open, source, &profiles, fresh);
    }
    splice.apply(source)
}

/// Parses a message.
pub(crate) fn contents(source: &Bytes) -> Result<MessageContents, Undecodable> {
    let strings = ProtoStringTable::new(source);
    let mut contents = MessageContents::default();
    let mut dictionaries = Vec::new();
    for field in Fields::new(source) {
        let field = field?;
        match field.number {
            1 => contents.series += 1,
            2 => dictionaries.push(cut(source, field.delimited()?)),
            _ => {}
        }
        if field.number != 1 {
            continue;
        }
        for inner in Fields::within(source, field.delimited()?) {
            let inner = inner?;
            match inner.number {
                1 if contents.series == 1 => {
                    for pair in Fields::within(source, inner.delimited()?) {
                        let pair = pair?;
                        if pair.number == 1
                            && let Some(label) = strings.label(pair.delimited()?)?
                        {
                            contents.labels.push(label);
                        }
                    }
                }
                2 => contents.profiles.push(cut(source, inner.delimited()?)),
                _ => {}
            }
        }
    }
    contents.profiles.extend(dictionaries);
    Ok(contents)
}

fn encode_attributes(tags: &Tags) -> Vec<u8> {
    let mut attributes = Vec::new();
    for (key, value) in tags.iter() {
        let mut any = Vec::with_capacity(value.len() + 4);
        put_field(&mut any, 1, value.as_bytes());
        let mut pair = Vec::with_capacity(key.len() + any.len() + 8);
        put_field(&mut pair, 1, key.as_bytes());
        put_field(&mut pair, 2, &any);
        put_field(&mut attributes, 1, &pair);
    }
    attributes
}

/// The string table of the dictionary, which follows the resources. It is read when an attribute first
/// refers to it.
#[derive(Debug)]
struct ProtoStringTable<'s> {
    source: &'s [u8],
    table: OnceCell<Vec<&'s [u8]>>,
}

impl<'s> ProtoStringTable<'s> {
    fn new(source: &'s [u8]) -> Self {
        Self {
            source,
            table: OnceCell::new(),
        }
    }

    /// The key of an attribute.
    fn key(&self, pair: Range<usize>) -> Result<&'s [u8], Undecodable> {
        self.resolve(pair, 1, 3)
    }

    /// Key and value of an attribute, if its value is a string: Pyroscope takes no others.
    fn label(&self, pair: Range<usize>) -> Result<Option<(String, String)>, Undecodable> {
        let key = self.key(pair.clone())?;
        let Some(any) = last(self.source, pair, 2)? else {
            return Ok(None);
        };
        let value = self.resolve(any, 1, 8)?;
        Ok((!value.is_empty()).then(|| (lossy_text(key), lossy_text(value))))
    }

    /// The string of a field, or the one that the number in another field refers to.
    fn resolve(&self, holder: Range<usize>, own: u32, index: u32) -> Result<&'s [u8], Undecodable> {
        let (mut string, mut number) = (0..0, 0);
        for field in Fields::within(self.source, holder) {
            let field = field?;
            if field.number == own {
                string = field.delimited()?;
            } else if field.number == index {
                number = field.varint(self.source)?;
            }
        }
        if !string.is_empty() || number == 0 {
            return Ok(self.source.get(string).unwrap_or_default());
        }
        let table = match self.table.get() {
            Some(table) => table,
            None => {
                let table = self.read()?;
                self.table.get_or_init(|| table)
            }
        };
        let number = usize::try_from(number).unwrap_or(usize::MAX);
        Ok(table.get(number).copied().unwrap_or_default())
    }

    fn read(&self) -> Result<Vec<&'s [u8]>, Undecodable> {
        let mut table = Vec::new();
        for dictionary in Fields::new(self.source) {
            let dictionary = dictionary?;
            if dictionary.number != 2 {
                continue;
            }
            for field in Fields::within(self.source, dictionary.delimited()?) {
                let field = field?;
                if field.number == 5 {
                    table.push(self.source.get(field.delimited()?).unwrap_or_default());
                }
            }
        }
        Ok(table)
    }
}
