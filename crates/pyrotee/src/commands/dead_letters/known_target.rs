//! Tells a target without dead letters from a name that is misspelt.

use pyrotee_admin::json::dead_letters::{MOST_LETTERS, PageQuery};
use pyrotee_letters::Id;
use pyrotee_terminal::print_error;

use super::source::LetterSource;
use crate::commands::UsageError;

/// Checks the name of a target that has no dead letters. A name is known if the target is configured; letters of a target
/// that left the configuration are found by its name without this check.
///
/// # Errors
/// The name is not known; the text lists the targets that are configured or have letters.
pub(super) async fn check(source: &LetterSource, name: &str) -> anyhow::Result<()> {
    let configured = source.configured_targets().await?;
    if configured.iter().any(|known| known == name) {
        return Ok(());
    }
    let mut known = configured.clone();
    known.extend(with_letters(source).await?);
    known.sort();
    known.dedup();
    let known = known.iter().map(String::as_str);
    let unknown = UsageError::unknown_target(name, place(source), known);
    if configured.is_empty() {
        // Without a configuration, the target may be one that has no letters at the moment.
        print_error(&format!("warning: {unknown}"));
        return Ok(());
    }
    Err(unknown.into())
}

fn place(source: &LetterSource) -> &'static str {
    match source {
        LetterSource::Relay(_) => "the relay",
        LetterSource::Directory { configured, .. } if configured.is_empty() => "the directory",
        LetterSource::Directory { .. } => "the configuration",
    }
}

/// The targets of the youngest letters.
async fn with_letters(source: &LetterSource) -> anyhow::Result<Vec<String>> {
    let query = PageQuery {
        target: None,
        before: None,
        limit: MOST_LETTERS,
    };
    let letters = source.page(&query).await?.value.letters;
    let ids = letters
        .iter()
        .filter_map(|letter| letter.id.parse::<Id>().ok());
    Ok(ids.map(|id| id.target).collect())
}
