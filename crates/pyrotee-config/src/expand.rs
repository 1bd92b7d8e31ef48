//! `${VAR}`, `${VAR:-default}`, `${file:PATH}` and `$$` in the values of the file.
//!
//! Substitution runs after the YAML is parsed, so the content of a variable or a file is data and cannot add
//! keys. A lone `$` stays, because passwords contain it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Limit of a file in `${file:PATH}`, in bytes: more than any token has.
const LARGEST: u64 = 64 * 1024;

/// The variable in which systemd passes the directory of a service's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// Substitutes variables and files. Returns `None` if `text` contains nothing to substitute.
///
/// # Errors
///
/// One text for each problem. The texts name variables and files, and show nothing else of the value.
pub(crate) fn expand(
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
    // `${file:-default}` is a variable of that name.
    if let Some(path) = inside
        .strip_prefix("file:")
        .filter(|it| !it.starts_with('-'))
    {
        return read(path, lookup(CREDENTIALS).as_deref());
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
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!(
            "the variable `{name}` is not set; set it, or write ${{{name}:-default}}"
        )),
    }
}

/// The content of a file, without its final line break. A path that is not absolute names a credential of
/// the service (systemd.exec(5), `LoadCredential=`).
fn read(path: &str, credentials: Option<&str>) -> Result<String, String> {
    let place = match (Path::new(path), credentials) {
        (path, _) if path.is_absolute() => path.to_owned(),
        (path, Some(credentials)) => Path::new(credentials).join(path),
        (_, None) => {
            return Err(format!(
                "`${{file:{path}}}` has no absolute path; write one, or have systemd hand it over: \
                 LoadCredential={path}:/PATH"
            ));
        }
    };
    let mut text = String::new();
    File::open(&place)
        .and_then(|file| file.take(LARGEST + 1).read_to_string(&mut text))
        .map_err(|error| {
            let place = place.display();
            format!("the file `{place}` cannot be read: {error}; see that it is there, is text, and may be read")
        })?;
    if text.len() as u64 > LARGEST {
        let place = place.display();
        return Err(format!(
            "the file `{place}` has more than {LARGEST} bytes; name one that holds the value and nothing else"
        ));
    }
    let value = text.strip_suffix('\n').unwrap_or(&text);
    Ok(value.strip_suffix('\r').unwrap_or(value).to_owned())
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
    fn a_file_stands_for_its_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let read = |path: &str| {
            let credentials = folder.path().display().to_string();
            expand(&format!("<${{file:{path}}}>"), |name| {
                (name == CREDENTIALS).then(|| credentials.clone())
            })
        };
        let token = write("token", b"s3cret ${HOST}\r\n");
        for path in [token.as_str(), "token"] {
            assert_eq!(read(path).unwrap().unwrap(), "<s3cret ${HOST}>");
        }
        assert_eq!(read(&write("two", b"a\n\n")).unwrap().unwrap(), "<a\n>");
        assert!(read("none").unwrap_err()[0].contains("cannot be read"));
        assert!(read(&write("binary", b"\xff")).unwrap_err()[0].contains("cannot be read"));
        let large = vec![b'x'; usize::try_from(LARGEST).unwrap() + 1];
        assert!(read(&write("large", &large)).unwrap_err()[0].contains("more than"));
        let alone = expanded("${file:token}").unwrap_err();
        assert!(alone[0].contains("LoadCredential=token:/PATH"), "{alone:?}");
        becomes("${file:-x}", "x");
    }

    #[test]
    fn a_bare_variable_is_recognised() {
        assert!(is_bare_variable("$TOKEN"));
        assert!(!is_bare_variable("$1abc") && !is_bare_variable("a$TOKEN"));
    }
}
