//! `${VAR}`, `${VAR:-default}` and `$$` in the values of the file.
//!
//! Runs after the YAML is parsed: what a variable holds is data, it cannot add keys. A lone `$`
//! stays, as passwords have them.

/// Substitutes variables. Gives `None` if there was nothing to substitute.
///
/// # Errors
///
/// One text for each thing that is wrong, naming variables but showing nothing else of the value.
pub(super) fn expand(
    text: &str,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, Vec<String>> {
    if !text.contains('$') {
        return Ok(None);
    }
    let (mut out, mut faults) = (String::with_capacity(text.len()), Vec::new());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = after.strip_prefix('{') {
            let Some((inside, after)) = after.split_once('}') else {
                faults.push("has a `${` without `}`; close it, or write `$${`".to_owned());
                rest = "";
                break;
            };
            match substitute(inside, &lookup) {
                Ok(value) => out.push_str(&value),
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
        Ok((out != text).then_some(out))
    } else {
        Err(faults)
    }
}

fn substitute(inside: &str, lookup: &impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_name(name) {
        return Err(
            "has a `${…}` that is neither ${VAR} nor ${VAR:-default}; correct it, or \
                    write `$${`"
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
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!(
            "the variable `{name}` is not set; set it, or write ${{{name}:-default}}"
        )),
    }
}

/// Whether the whole text is `$NAME`, which Pyroscope 0.37 substituted and pyrotee does not.
pub(super) fn is_bare_variable(text: &str) -> bool {
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
        expand(text, |name| match name {
            "HOST" => Some("bar".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("${HOST}: [\n$$".to_owned()),
            _ => None,
        })
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
    fn a_bare_variable_is_recognised() {
        assert!(is_bare_variable("$TOKEN"));
        assert!(!is_bare_variable("$1abc") && !is_bare_variable("a$TOKEN"));
    }
}
