//! The dead letters that a command changes.

use std::collections::VecDeque;
use std::time::SystemTime;

use anyhow::ensure;
use pyrotee_admin::json::dead_letters::{MOST_LETTERS, PageQuery};
use pyrotee_letters::Id;

use super::known_target;
use super::source::LetterSource;

/// Selects dead letters by their ids, by their target, or all of them.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SelectionArgs {
    /// Ids of dead letters, as `ls` prints them
    #[arg(value_name = "ID", conflicts_with_all = ["all", "target"])]
    ids: Vec<String>,
    /// All dead letters
    #[arg(long)]
    all: bool,
    /// Dead letters of this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
}

impl SelectionArgs {
    /// The ids of the selected letters, the oldest first; with `before` only letters that were rejected before that
    /// time.
    pub(super) async fn find(
        self,
        source: &LetterSource,
        before: Option<SystemTime>,
    ) -> anyhow::Result<Vec<String>> {
        if !self.ids.is_empty() {
            // Checks the ids before anything is changed.
            for id in &self.ids {
                id.parse::<Id>()?;
            }
            return Ok(self.ids);
        }
        ensure!(
            self.all || self.target.is_some() || before.is_some(),
            "no dead letters are selected: give their ids, --all, or another option (see --help)"
        );
        let mut found = VecDeque::new();
        let mut has_letters = false;
        let mut query = PageQuery {
            target: self.target,
            before: None,
            limit: MOST_LETTERS,
        };
        loop {
            let page = source.page(&query).await?.value;
            let Some(last) = page.letters.last() else {
                if let Some(target) = query.target.filter(|_| !has_letters) {
                    known_target::check(source, &target).await?;
                }
                return Ok(found.into());
            };
            has_letters = true;
            query.before = Some(last.id.parse::<Id>()?);
            for letter in page.letters {
                let id = letter.id.parse::<Id>()?;
                if before.is_none_or(|before| id.at < before) {
                    found.push_front(letter.id);
                }
            }
        }
    }
}
