//! The effective configuration as YAML, with secrets left out.
//!
//! The output is valid input: every text that is not a plain word is quoted, and every `$` is doubled, except in
//! `scrape-configs`, where it stays.
//! A configuration read from the output has the same settings except the secrets.

use std::{borrow::Cow, fmt::Write};

use pyrotee_scrape_config::KEY;

use crate::{
    entries::{self, Value, list_key},
    settings::Config,
};

const REDACTED: &str = "<redacted>";

impl Config {
    /// All keys with their effective values as YAML, in the order of the documentation. Tokens,
    /// users, passwords and values of headers are `<redacted>`.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let entries = entries::of(self);
        let mut out = Yaml::default();
        let mut open: &[Cow<'_, str>] = &[];
        for entry in &entries {
            let Some((key, sections)) = entry.path.split_last() else {
                continue;
            };
            let common = sections.iter().zip(open).take_while(|(one, of)| one == of);
            let common = common.count();
            for (depth, name) in sections.iter().enumerate().skip(common) {
                let Some(list) = list_key(name) else {
                    out.line(depth, &format!("{}:", quoted(name)));
                    continue;
                };
                let before = open.get(depth).filter(|_| depth == common);
                if before.and_then(|it| list_key(it)) != Some(list) {
                    out.line(depth, &format!("{list}:"));
                }
                out.begins_item = true;
            }
            out.keeps_dollars = sections.first().and_then(|it| list_key(it)) == Some(KEY);
            open = sections;
            let depth = sections.len();
            match &entry.value {
                Value::Plain(value) => out.line(depth, &format!("{key}: {value}")),
                Value::Text(value) => out.text(depth, key, value),
                Value::Rule(meaning) => out.text(depth, key, meaning),
                Value::File(file) => out.text(depth, key, &file.path().to_string_lossy()),
                Value::List(texts) => out.list(depth, key, texts),
                Value::Secret(_) | Value::Credential(_) => out.text(depth, key, REDACTED),
                Value::EmptyMap => out.line(depth, &format!("{key}: {{}}")),
            }
        }
        out.text
    }
}

#[derive(Default)]
struct Yaml {
    text: String,
    /// The next line is the first one of an item of a list.
    begins_item: bool,
    /// A `$` stays as it is, as in the block `scrape-configs`, where `$$` is no escape.
    keeps_dollars: bool,
}

impl Yaml {
    fn line(&mut self, depth: usize, text: &str) {
        let begins_item = std::mem::take(&mut self.begins_item);
        for level in 1..=depth {
            let is_dash = begins_item && level == depth;
            self.text.push_str(if is_dash { "- " } else { "  " });
        }
        self.text.push_str(text);
        self.text.push('\n');
    }

    fn value(&self, value: &str) -> String {
        match self.keeps_dollars {
            true => quoted(value),
            false => quoted(&value.replace('$', "$$")),
        }
    }

    fn list(&mut self, depth: usize, key: &str, values: &[Cow<'_, str>]) {
        let values: Vec<_> = values.iter().map(|it| self.value(it)).collect();
        self.line(depth, &format!("{}: [{}]", quoted(key), values.join(", ")));
    }

    /// Writes a text of the user, quoted where YAML needs it.
    fn text(&mut self, depth: usize, key: &str, value: &str) {
        let value = self.value(value);
        self.line(depth, &format!("{}: {value}", quoted(key)));
    }
}

/// A YAML scalar: bare if every reader parses it as this text, else in double quotes. A text that begins
/// with a digit is quoted, because readers may parse it as a number or a date.
fn quoted(text: &str) -> String {
    let first = text.bytes().next().is_some_and(|b| b.is_ascii_alphabetic());
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_-./".contains(&b);
    let url = text.starts_with("http://") || text.starts_with("https://");
    let inner = text.bytes().all(|b| plain(b) || url && b == b':') && !text.ends_with(':');
    if first && inner && !is_ambiguous(text) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            // NEL and the Unicode line separators break lines for YAML 1.1 readers.
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                write!(out, "\\U{:08x}", u32::from(c)).expect("a String takes all that is written");
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Whether YAML 1.1 or 1.2 readers parse the text as null or a boolean.
fn is_ambiguous(text: &str) -> bool {
    let words = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    words.iter().any(|word| text.eq_ignore_ascii_case(word))
}
