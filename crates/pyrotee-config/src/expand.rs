//! `${VAR}`, `${VAR:-default}`, `${file:PATH}` and `$$` in the values of the file.
//!
//! Substitution runs after the YAML is parsed, so the content of a variable or a file is data and cannot add
//! keys. A lone `$` stays, because passwords contain it.

use secrecy::{ExposeSecret, SecretString};

/// What `$$` and `${1}` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dollars {
    /// `$$` is a `$`, and a name that begins with a digit is a fault.
    Escaped,
    /// Both stay as they are, as in the block `scrape-configs`, where `$1` and `${1}` are groups of a regular expression.
    Kept,
}

/// A text in which something was substituted.
pub(crate) struct Expanded {
    pub(crate) text: String,
    /// The variables whose values the text contains, in the order of the text.
    pub(crate) variables: Vec<String>,
}

/// Substitutes variables and files. Returns `None` if `text` contains nothing to substitute. `file` gets the path in
/// `${file:PATH}`; its error is the text of a fault.
///
/// # Errors
///
/// One text for each problem. The texts name variables and files, and show nothing else of the value.
pub(crate) fn expand(
    text: &str,
    dollars: Dollars,
    lookup: impl Fn(&str) -> Option<String>,
    mut file: impl FnMut(&str) -> Result<SecretString, String>,
) -> Result<Option<Expanded>, Vec<String>> {
    if !text.contains('$') {
        return Ok(None);
    }
    let (mut out, mut faults) = (String::with_capacity(text.len()), Vec::new());
    let mut variables = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push_str(match dollars {
                Dollars::Escaped => "$",
                Dollars::Kept => "$$",
            });
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            if dollars == Dollars::Kept && after.starts_with(|c: char| c.is_ascii_digit()) {
                out.push_str("${");
                rest = after;
                continue;
            }
            let Some((inside, after)) = after.split_once('}') else {
                faults.push("has a `${` without `}`; close it, or write `$${`".to_owned());
                rest = "";
                break;
            };
            match substitute(inside, &lookup, &mut file) {
                Ok(Substitute::File(content)) => out.push_str(content.expose_secret()),
                Ok(Substitute::Default(value)) => out.push_str(value),
                Ok(Substitute::Variable(name, value)) => {
                    out.push_str(&value);
                    variables.push(name.to_owned());
                }
                Err(fault) => faults.push(fault),
            }
            rest = after;
        } else {
            out.push('$');
            rest = after;
        }
    }
    out.push_str(rest);
    if faults.is_empty() {
        Ok((out != text).then_some(Expanded {
            text: out,
            variables,
        }))
    } else {
        Err(faults)
    }
}

/// What stands for one `${…}`.
enum Substitute<'t> {
    File(SecretString),
    /// The default in `${VAR:-default}`.
    Default(&'t str),
    /// The name of a variable, and its value.
    Variable(&'t str, String),
}

fn substitute<'t>(
    inside: &'t str,
    lookup: &impl Fn(&str) -> Option<String>,
    file: &mut impl FnMut(&str) -> Result<SecretString, String>,
) -> Result<Substitute<'t>, String> {
    // `${file:-default}` is a variable of that name.
    if let Some(path) = inside
        .strip_prefix("file:")
        .filter(|it| !it.starts_with('-'))
    {
        return file(path).map(Substitute::File);
    }
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        return Err(
            "has a `${…}` that is neither ${VAR} nor ${VAR:-default} nor ${file:PATH}; \
                    correct it, or write `$${`"
                .to_owned(),
        );
    }
    if default.is_some_and(|default| default.contains("${")) {
        return Err(format!(
            "has a `${{…}}` in the default of `{name}`; write plain text there"
        ));
    }
    match (lookup(name), default) {
        // As in a shell, an empty variable counts as unset for `:-`.
        (Some(value), Some(default)) if value.is_empty() => Ok(Substitute::Default(default)),
        (Some(value), _) => Ok(Substitute::Variable(name, value)),
        (None, Some(default)) => Ok(Substitute::Default(default)),
        (None, None) => Err(format!(
            "the variable `{name}` is not set; set it, or write ${{{name}:-default}}"
        )),
    }
}

/// Whether a text has a `${`, which is expanded in the file alone.
pub(crate) fn has_reference(text: &str) -> bool {
    text.contains("${")
}

/// Whether the whole text is `$NAME`, which Pyroscope 0.37 substituted and pyrotee does not.
pub(crate) fn is_bare_variable(text: &str) -> bool {
    text.strip_prefix('$').is_some_and(is_name)
}

fn is_name(text: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(text: &str) -> Result<Option<String>, Vec<String>> {
        let lookup = |name: &str| match name {
            "HOST" => Some("bar".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("${HOST}: [\n$$".to_owned()),
            _ => None,
        };
        let file = |path: &str| match path {
            "token" => Ok("s3cret ${HOST}".into()),
            _ => Err(format!("no {path}")),
        };
        let done = expand(text, Dollars::Escaped, lookup, file)?;
        Ok(done.map(|expanded| expanded.text))
    }

    fn becomes(text: &str, value: &str) {
        assert_eq!(expanded(text).unwrap().as_deref(), Some(value), "{text}");
    }

    #[test]
    fn variables_defaults_and_dollars_are_substituted() {
        becomes("http://${HOST}:4040", "http://bar:4040");
        becomes("${HOST}${HOST}", "barbar");
        becomes("${NONE:-}", "");
        becomes("${NONE:-a:-b}", "a:-b");
        becomes("${HOST:-other}", "bar");
        becomes("${EMPTY:-other}", "other");
        becomes("${EMPTY}", "");
        becomes("a$$b", "a$b");
        becomes("$${HOST}", "${HOST}");
        becomes("$$$${", "$${");
    }

    #[test]
    fn a_lone_dollar_stays() {
        for text in ["pa$word", "$HOST", "5$", "$", "$}"] {
            assert_eq!(expanded(text).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn what_a_variable_holds_is_not_expanded_again() {
        becomes("${TRICKY}", "${HOST}: [\n$$");
    }

    #[test]
    fn an_unset_variable_is_named() {
        let faults = expanded("${A}-${B}").unwrap_err();
        assert_eq!(faults.len(), 2);
        assert!(faults[0].contains("`A` is not set"), "{faults:?}");
        assert!(faults[1].contains("`B` is not set"), "{faults:?}");
    }

    #[test]
    fn other_forms_are_faults_that_show_nothing() {
        for text in [
            "${sec ret}",
            "${}",
            "${sec-ret}",
            "${9sec}",
            "${sec:?ret}",
            "sec${ret",
        ] {
            let faults = expanded(text).unwrap_err();
            assert!(
                !faults[0].contains("sec") && !faults[0].contains("ret"),
                "{faults:?}"
            );
        }
        assert!(expanded("${A:-${HOST}}").unwrap_err()[0].contains("default of `A`"));
    }

    #[test]
    fn a_file_is_put_in_and_not_expanded_again() {
        becomes("<${file:token}>", "<s3cret ${HOST}>");
        becomes("${file:-x}", "x");
        assert_eq!(
            expanded("${file:a}${file:b}").unwrap_err(),
            ["no a", "no b"]
        );
    }

    #[test]
    fn variables_that_are_in_the_text_are_named() {
        let lookup = |name: &str| (name != "NONE").then(|| "x".to_owned());
        let text = "$$${A}${NONE:-b}${file:t}${C:-d}$D";
        let file = |_: &str| Ok("f".into());
        let done = expand(text, Dollars::Escaped, lookup, file);
        let done = done.unwrap().unwrap();
        assert_eq!(done.text, "$xbfx$D");
        assert_eq!(done.variables, ["A", "C"]);
    }

    #[test]
    fn groups_of_a_regular_expression_stay_where_dollars_are_kept() {
        let lookup = |name: &str| (name == "A").then(|| "x".to_owned());
        let kept = |text: &str| {
            let done = expand(text, Dollars::Kept, lookup, |_| Ok("f".into()));
            done.map(|it| it.map(|it| it.text))
        };
        for text in ["$1:$2", "${1}", "${1}a$$", "$$1", "$${A}"] {
            assert_eq!(kept(text).unwrap(), None, "{text}");
        }
        let mixed = kept("${1}-${A}-$$-${file:t}-${B:-b}");
        assert_eq!(mixed.unwrap().as_deref(), Some("${1}-x-$$-f-b"));
        assert!(kept("${B}").is_err() && kept("${").is_err());
    }

    #[test]
    fn a_bare_variable_is_recognised() {
        assert!(is_bare_variable("$TOKEN"));
        assert!(!is_bare_variable("$1abc") && !is_bare_variable("a$TOKEN"));
    }
}
