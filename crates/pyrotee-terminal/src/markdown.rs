//! Pages of the runbook as text for a terminal: links become commands or paths.

/// The page `text` without links. A link to another page becomes the command that prints that page; a link to a file of
/// the repository becomes the file's path, after the link's own words unless they name the file.
pub fn without_links(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, words, target, after)) = next_link(rest) {
        plain.push_str(before);
        plain.push_str(&replacement(words, target));
        rest = after;
    }
    plain.push_str(rest);
    plain
}

/// The first link of `text`: what is before it, its words, its target and what is after it. `None`: there is no link.
fn next_link(text: &str) -> Option<(&str, &str, &str, &str)> {
    let (head, tail) = text.split_once("](")?;
    let (before, words) = head.rsplit_once('[')?;
    let (target, after) = tail.split_once(')')?;
    Some((before, words, target, after))
}

fn replacement(words: &str, target: &str) -> String {
    if target.contains("://") {
        return format!("{words} ({target})");
    }
    let file = target.split('#').next().unwrap_or_default();
    if let Some(name) = file.strip_suffix(".md").filter(|name| !name.contains('/')) {
        return match name {
            "README" => "`pyrotee runbook`".to_owned(),
            name => format!("`pyrotee runbook {name}`"),
        };
    }
    // Pages are in docs/runbook.
    let path = match file.strip_prefix("../../") {
        Some(path) => path.to_owned(),
        None => format!("docs/{}", file.trim_start_matches("../")),
    };
    match path.contains(words) {
        true => path,
        false => format!("{words} ({path})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_to_a_page_becomes_a_command() {
        assert_eq!(
            without_links("See [PyroteeDown](PyroteeDown.md), or [all](README.md)."),
            "See `pyrotee runbook PyroteeDown`, or `pyrotee runbook`."
        );
    }

    #[test]
    fn a_link_to_a_file_becomes_its_path() {
        assert_eq!(
            without_links(
                "[scaling.md](../scaling.md#memory) and [deploy/drop-in](../../deploy/drop-in/README.md)"
            ),
            "docs/scaling.md and deploy/drop-in/README.md"
        );
        assert_eq!(
            without_links("It [becomes a dead letter](../spool.md#ends)."),
            "It becomes a dead letter (docs/spool.md)."
        );
        assert_eq!(
            without_links("[here](https://example.com)"),
            "here (https://example.com)"
        );
    }

    #[test]
    fn text_without_a_link_stays_as_it_is() {
        for text in ["", "a [b] (c)", "`x[0]`", "open [link](no end"] {
            assert_eq!(without_links(text), text);
        }
    }
}
