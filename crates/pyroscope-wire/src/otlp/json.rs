//! An ExportProfilesServiceRequest in protobuf's JSON, which accepts field names as in the schema and in camel
//! case.

use std::cell::OnceCell;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::APP_ATTRIBUTE;
use crate::contents::MessageContents;
use crate::splice::json::{JsonEditor, JsonObject, around, elements, quoted, slice, string};
use crate::tags::Tags;
use crate::undecodable::Undecodable;

/// Adds the tags to every resource, and puts the name of the application into the attributes of samples.
pub(crate) fn upsert(
    source: &Bytes,
    tags: &Tags,
    limit_bytes: usize,
) -> Result<Vec<Bytes>, Undecodable> {
    let tags = &*super::with_app_attribute(tags);
    let fresh = elements(tags, |key, value| {
        format!("{{\"key\":{key},\"value\":{{\"stringValue\":{value}}}}}")
    });
    let root = JsonObject::root(source)?;
    let keys = tags.iter().map(|(key, _)| key.len());
    let longest_key = keys.max().unwrap_or_default().max(APP_ATTRIBUTE.len());
    let strings = JsonStringTable::of(root, longest_key, limit_bytes)?;
    let mut editor = JsonEditor::new(source, limit_bytes);
    for profiles in both(root, "resourceProfiles", "resource_profiles")? {
        editor.look_at_element()?;
        let profiles = JsonObject::read(profiles?)?;
        let Some(resource) = profiles.get("resource")? else {
            let resource = format!("{{\"attributes\":[{fresh}]}}");
            editor.set(profiles, "resource", &resource)?;
            continue;
        };
        let resource = JsonObject::read(resource)?;
        editor.upsert(resource, "attributes", &fresh, |attribute| {
            let key = strings.key(JsonObject::read(attribute)?)?;
            Ok(tags.has(key.as_bytes()))
        })?;
    }
    if let (Some(app), Some(dictionary)) = (tags.get(APP_ATTRIBUTE), root.get("dictionary")?) {
        let value = format!("{{\"stringValue\":{}}}", quoted(app));
        let dictionary = JsonObject::read(dictionary)?;
        for entry in both(dictionary, "attributeTable", "attribute_table")? {
            editor.look_at_element()?;
            let entry = JsonObject::read(entry?)?;
            if strings.key(entry)? == APP_ATTRIBUTE {
                editor.set(entry, "value", &value)?;
            }
        }
    }
    editor.finish()
}

/// Parses a message.
pub(crate) fn contents(source: &Bytes) -> Result<MessageContents, Undecodable> {
    let root = JsonObject::root(source)?;
    let strings = JsonStringTable::of(root, usize::MAX, usize::MAX)?;
    let mut contents = MessageContents::default();
    for profiles in both(root, "resourceProfiles", "resource_profiles")? {
        let profiles = JsonObject::read(profiles?)?;
        contents.series += 1;
        if let (1, Some(resource)) = (contents.series, profiles.get("resource")?) {
            for attribute in JsonObject::read(resource)?.list("attributes")? {
                let attribute = JsonObject::read(attribute?)?;
                if let Some(value) = attribute.get("value")? {
                    let value = strings.value(JsonObject::read(value)?)?;
                    let label = (strings.key(attribute)?, value);
                    contents
                        .labels
                        .extend((!label.1.is_empty()).then_some(label));
                }
            }
        }
        for scope in both(profiles, "scopeProfiles", "scope_profiles")? {
            contents.profiles.push(slice(source, scope?));
        }
    }
    if let Some(raw) = root.get("dictionary")? {
        // Tags may change the attribute table.
        let dictionary = JsonObject::read(raw)?;
        let tables = [
            dictionary.get("attributeTable")?,
            dictionary.get("attribute_table")?,
        ];
        contents.profiles.extend(around(source, raw, tables));
    }
    Ok(contents)
}

/// The elements of a list, under its name in camel case and under its name in the schema.
fn both<'a>(
    object: JsonObject<'a>,
    camel: &str,
    snake: &str,
) -> Result<impl Iterator<Item = Result<&'a RawValue, Undecodable>> + use<'a>, Undecodable> {
    Ok(object.list(camel)?.chain(object.list(snake)?))
}

/// A value under its name in camel case, or else under its name in the schema.
fn either<'a>(
    object: JsonObject<'a>,
    camel: &str,
    snake: &str,
) -> Result<Option<&'a RawValue>, Undecodable> {
    match object.get(camel)? {
        None => object.get(snake),
        found => Ok(found),
    }
}

/// The string table of the dictionary. It is read when an attribute first refers to it.
#[derive(Debug)]
struct JsonStringTable<'a> {
    /// Longest key that the caller looks for, in bytes. Longer strings of the table are read as empty, because
    /// many attributes may refer to one long string.
    longest_key: usize,
    /// Memory that the table may take, in bytes.
    limit_bytes: usize,
    dictionary: Option<JsonObject<'a>>,
    table: OnceCell<Vec<&'a RawValue>>,
}

impl<'a> JsonStringTable<'a> {
    fn of(
        root: JsonObject<'a>,
        longest_key: usize,
        limit_bytes: usize,
    ) -> Result<Self, Undecodable> {
        Ok(Self {
            longest_key,
            limit_bytes,
            dictionary: root.get("dictionary")?.map(JsonObject::read).transpose()?,
            table: OnceCell::new(),
        })
    }

    fn key(&self, attribute: JsonObject<'a>) -> Result<String, Undecodable> {
        let index = either(attribute, "keyStrindex", "key_strindex")?;
        self.resolve(attribute.get("key")?, index)
    }

    fn value(&self, any: JsonObject<'a>) -> Result<String, Undecodable> {
        let own = either(any, "stringValue", "string_value")?;
        let index = either(any, "stringValueStrindex", "string_value_strindex")?;
        self.resolve(own, index)
    }

    /// The attribute's own string, or if it is empty the string at `index` in the table. protobuf's JSON may
    /// write the index as a string.
    fn resolve(
        &self,
        own: Option<&RawValue>,
        index: Option<&RawValue>,
    ) -> Result<String, Undecodable> {
        let own = own.map(string).transpose()?.unwrap_or_default();
        let index = index.and_then(|raw| raw.get().trim_matches('"').parse::<usize>().ok());
        let (true, Some(index)) = (own.is_empty(), index) else {
            return Ok(own);
        };
        let table = match (self.table.get(), self.dictionary) {
            (Some(table), _) => table,
            (None, None) => return Ok(own),
            (None, Some(dictionary)) => {
                let table = both(dictionary, "stringTable", "string_table")?;
                let table = self.collect(table)?;
                self.table.get_or_init(|| table)
            }
        };
        let entry = table.get(index).copied();
        // An escape takes up to six bytes per character.
        let longest = self.longest_key.saturating_mul(6).saturating_add(2);
        let entry = entry.filter(|entry| entry.get().len() <= longest);
        let entry = entry.map(string).transpose()?;
        Ok(entry.unwrap_or_default())
    }

    fn collect(
        &self,
        strings: impl Iterator<Item = Result<&'a RawValue, Undecodable>>,
    ) -> Result<Vec<&'a RawValue>, Undecodable> {
        let mut table = Vec::new();
        for string in strings {
            if size_of_val(&*table) >= self.limit_bytes {
                let limit_bytes = self.limit_bytes;
                return Err(Undecodable::TooLarge { limit_bytes });
            }
            table.push(string?);
        }
        Ok(table)
    }
}
