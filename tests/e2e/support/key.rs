//! Pyroscope's grammar of `name` as a target reads it, written a second time on purpose.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;

/// The application and its tags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) app: String,
    pub(crate) tags: BTreeMap<String, String>,
}

/// Splits a raw query into its pairs, without decoding.
pub(crate) fn pairs(query: &str) -> Vec<(String, String)> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The first value of a parameter, decoded.
pub(crate) fn parameter(query: &str, name: &str) -> Option<String> {
    let value = pairs(query)
        .into_iter()
        .find(|(n, _)| n == name)?
        .1
        .replace('+', " ");
    Some(
        percent_decode_str(&value)
            .decode_utf8()
            .expect("the relay sends UTF-8")
            .into_owned(),
    )
}

impl Key {
    pub(crate) fn new(app: &str, tags: &[(&str, &str)]) -> Self {
        let tags = tags
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        Self {
            app: app.to_owned(),
            tags,
        }
    }

    /// Reads the `name` of a raw query. Panics if a tag is there twice.
    pub(crate) fn of(query: &str) -> Self {
        let name = parameter(query, "name").unwrap_or_else(|| panic!("no name in {query:?}"));
        let (app, rest) = name.split_once('{').unwrap_or((&name, "}"));
        let mut key = Self::new(app.trim(), &[]);
        let inside = rest.split('}').next().unwrap_or_default();
        for tag in inside.split(',').filter(|tag| !tag.trim().is_empty()) {
            let (k, v) = tag
                .split_once('=')
                .unwrap_or_else(|| panic!("no value in {name:?}"));
            let before = key.tags.insert(k.trim().to_owned(), v.trim().to_owned());
            assert!(before.is_none(), "{k} stands twice in {name:?}");
        }
        key
    }
}
