//! An ExportProfilesServiceRequest in protobuf.

use std::cell::OnceCell;
use std::ops::Range;

use bytes::Bytes;

use super::APP_ATTRIBUTE;
use crate::contents::{MessageContents, lossy_text};
use crate::proto::{Field, Fields, last, put_field};
use crate::splice::remove_tagged;
use crate::splice::{Splice, cut};
use crate::tags::Tags;
use crate::undecodable::Undecodable;

/// Adds the tags to every resource, and puts the name of the application into the attributes of samples.
pub(crate) fn upsert(
    source: &Bytes,
    tags: &Tags,
    limit_bytes: usize,
) -> Result<Vec<Bytes>, Undecodable> {
    let tags = &*super::with_app_attribute(tags);
    let app = tags.get(APP_ATTRIBUTE);
    let attributes = encode_attributes(tags);
    let mut resource = Vec::with_capacity(attributes.len() + 8);
    put_field(&mut resource, 1, &attributes);
    let strings = ProtoStringTable::new(source, limit_bytes);

    let mut splice = Splice::new(limit_bytes);
    for profiles in Fields::new(source) {
        let profiles = profiles?;
        match (profiles.number, app) {
            (1, _) => {}
            (2, Some(app)) => {
                replace_app(&mut splice, source, &profiles, &strings, app)?;
                continue;
            }
            _ => continue,
        }
        let open = splice.open(&profiles);
        // If a message field occurs more than once, protobuf reads one message with the fields of all
        // occurrences. So only the first occurrence gets the tags.
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
            splice.check()?;
            missing = false;
        }
        let fresh = if missing { &resource[..] } else { &[] };
        splice.close(&open, source, &profiles, fresh);
        splice.check()?;
    }
    splice.apply(source)
}

/// Replaces the values of the entries of a dictionary's attribute table whose key is [`APP_ATTRIBUTE`].
fn replace_app(
    splice: &mut Splice,
    source: &[u8],
    dictionary: &Field,
    strings: &ProtoStringTable<'_>,
    app: &str,
) -> Result<(), Undecodable> {
    let value = encode_value(2, app);
    let open = splice.open(dictionary);
    for entry in Fields::within(source, dictionary.delimited()?) {
        let entry = entry?;
        if entry.number != ATTRIBUTE_TABLE
            || strings.entry_key(entry.delimited()?)? != APP_ATTRIBUTE.as_bytes()
        {
            continue;
        }
        let open = splice.open(&entry);
        for field in Fields::within(source, entry.delimited()?) {
            let field = field?;
            if field.number == 2 {
                splice.remove(field.range());
            }
        }
        splice.close(&open, source, &entry, &value);
        splice.check()?;
    }
    splice.close(&open, source, dictionary, &[]);
    Ok(())
}

/// Parses a message.
pub(crate) fn contents(source: &Bytes) -> Result<MessageContents, Undecodable> {
    let strings = ProtoStringTable::new(source, usize::MAX);
    let mut contents = MessageContents::default();
    let mut dictionaries = Vec::new();
    for field in Fields::new(source) {
        let field = field?;
        match field.number {
            1 => contents.series += 1,
            2 => without_attributes(source, &field, &mut dictionaries)?,
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

/// Adds the parts of a dictionary around its attribute table, which tags may change.
fn without_attributes(
    source: &Bytes,
    dictionary: &Field,
    parts: &mut Vec<Bytes>,
) -> Result<(), Undecodable> {
    let range = dictionary.delimited()?;
    let mut start = range.start;
    for field in Fields::within(source, range.clone()) {
        let field = field?;
        if field.number == ATTRIBUTE_TABLE {
            parts.push(cut(source, start..field.start));
            start = field.value.end;
        }
    }
    parts.push(cut(source, start..range.end));
    Ok(())
}

fn encode_attributes(tags: &Tags) -> Vec<u8> {
    let mut attributes = Vec::new();
    for (key, value) in tags.iter() {
        let value = encode_value(2, value);
        let mut pair = Vec::with_capacity(key.len() + value.len() + 8);
        put_field(&mut pair, 1, key.as_bytes());
        pair.extend(value);
        put_field(&mut attributes, 1, &pair);
    }
    attributes
}

/// A field that is an AnyValue with a string.
fn encode_value(number: u8, text: &str) -> Vec<u8> {
    let mut any = Vec::with_capacity(text.len() + 4);
    put_field(&mut any, 1, text.as_bytes());
    let mut field = Vec::with_capacity(any.len() + 4);
    put_field(&mut field, number, &any);
    field
}

/// The field of the dictionary that is the attribute table.
const ATTRIBUTE_TABLE: u32 = 6;

/// The string table of the dictionary, which follows the resources. It is read when an attribute first
/// refers to it.
#[derive(Debug)]
struct ProtoStringTable<'s> {
    source: &'s [u8],
    /// Memory that the table may take, in bytes: a short message can have many empty entries.
    limit_bytes: usize,
    table: OnceCell<Vec<&'s [u8]>>,
}

impl<'s> ProtoStringTable<'s> {
    fn new(source: &'s [u8], limit_bytes: usize) -> Self {
        Self {
            source,
            limit_bytes,
            table: OnceCell::new(),
        }
    }

    /// The key of an attribute.
    fn key(&self, pair: Range<usize>) -> Result<&'s [u8], Undecodable> {
        self.resolve(pair, 1, 3)
    }

    /// The key of an entry of the attribute table: an index, or a string in earlier schemas.
    fn entry_key(&self, entry: Range<usize>) -> Result<&'s [u8], Undecodable> {
        let (mut string, mut number) = (0..0, 0);
        for field in Fields::within(self.source, entry) {
            let field = field?;
            if field.number == 1 {
                match field.delimited() {
                    Ok(range) => string = range,
                    Err(_not_text) => number = field.varint(self.source)?,
                }
            }
        }
        self.lookup(string, number)
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

    /// The string in field `own` of a message, or if it is empty the entry of the table whose number is in
    /// field `index`.
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
        self.lookup(string, number)
    }

    /// A string of the message, or if it is empty the entry of the table with this number.
    fn lookup(&self, string: Range<usize>, number: u64) -> Result<&'s [u8], Undecodable> {
        // The number is an int32, of which protobuf keeps the low 32 bits; a negative number is beyond every
        // table.
        let number = number & u64::from(u32::MAX);
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
                    if size_of_val(&*table) >= self.limit_bytes {
                        let limit_bytes = self.limit_bytes;
                        return Err(Undecodable::TooLarge { limit_bytes });
                    }
                    table.push(self.source.get(field.delimited()?).unwrap_or_default());
                }
            }
        }
        Ok(table)
    }
}
