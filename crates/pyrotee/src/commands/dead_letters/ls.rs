//! `pyrotee dead-letters ls`.

use pyrotee_admin::json::dead_letters::{LetterPage, MOST_LETTERS, PageQuery};
use pyrotee_letters::Letter;
use pyrotee_terminal::{Table, counted, print, print_json, size, terminal_width};

use super::known_target;
use super::source::SourceArgs;

const EXAMPLES: &str = "\
Examples:
  pyrotee dead-letters ls --target central --limit 20
  pyrotee dead-letters ls --dir /var/lib/pyrotee/spool/dead-letters
  pyrotee dead-letters ls --json | jq -r '.letters[] | [.id, .answer] | @tsv'";

/// Width of the table where stdout is no terminal.
const WIDTH: usize = 160;

const HEAD: [&str; 6] = ["ID", "APP", "SURFACE", "SIZE", "REASON", "ANSWER"];

/// List dead letters, the youngest first
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Only dead letters of this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Maximum number of dead letters
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=MOST_LETTERS as u64))]
    limit: u64,
    /// Print the list as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let source = args.source.open(false)?;
    let query = PageQuery {
        target: args.target,
        before: None,
        limit: usize::try_from(args.limit).unwrap_or(MOST_LETTERS),
    };
    let page = source.page(&query).await?;
    if let Some(target) = query.target.filter(|_| page.value.letters.is_empty()) {
        known_target::check(&source, &target).await?;
    }
    match args.json {
        true => print_json(&page.json),
        false => print(&text(&page.value, terminal_width().unwrap_or(WIDTH))),
    }
}

/// A row for each letter, at most `width` wide if that is possible, and a line with the totals.
fn text(page: &LetterPage, width: usize) -> String {
    if page.letters.is_empty() {
        return totals(page);
    }
    let mut table = Table::new(HEAD);
    for letter in &page.letters {
        table.row(row(letter));
    }
    table.render(width) + &totals(page)
}

fn row(letter: &Letter) -> [String; HEAD.len()] {
    let status = letter.status.map(|status| format!("{status} "));
    [
        letter.id.clone(),
        letter.app.clone().unwrap_or_else(|| "-".to_owned()),
        letter.surface.clone(),
        size(letter.bytes),
        letter.reason.clone(),
        status.unwrap_or_default() + &letter.answer,
    ]
}

fn totals(page: &LetterPage) -> String {
    let shown = page.letters.len() as u64;
    let of = match shown < page.total {
        true => format!("{shown} of {}", counted(page.total, "letter")),
        false => counted(shown, "letter"),
    };
    let limit = page.limit_bytes;
    let limit = limit.map(|limit| format!(" of {}", size(limit)));
    let limit = limit.unwrap_or_default();
    format!("{of}, all together {}{limit} on disk\n", size(page.bytes))
}

#[cfg(test)]
mod tests {
    use super::super::fixture::letter;
    use super::*;

    fn two() -> LetterPage {
        let letters = [
            ("20261124T104301.123Z-000043-eu", "moon"),
            ("20261124T104300.123Z-000042-central", "a\nb"),
        ];
        LetterPage {
            letters: letters.map(|(id, answer)| letter(id, answer)).into(),
            total: 7,
            bytes: 57_344,
            limit_bytes: Some(64 << 20),
        }
    }

    #[test]
    fn columns_are_aligned_and_controls_are_shown() {
        assert_eq!(
            text(&two(), 120),
            "\
ID                                   APP            SURFACE  SIZE     REASON    ANSWER
20261124T104301.123Z-000043-eu       shop\\u{1b}[2J  ingest   1.5 KiB  rejected  422 moon
20261124T104300.123Z-000042-central  shop\\u{1b}[2J  ingest   1.5 KiB  rejected  422 a\\nb
2 of 7 letters, all together 56.0 KiB of 64.0 MiB on disk
"
        );
    }

    #[test]
    fn an_answer_is_cut_at_the_edge_of_the_terminal() {
        let mut long = two();
        long.letters[0].answer = "größer ".repeat(40);
        let shown = text(&long, 120);
        let longest = shown.lines().map(|line| line.chars().count()).max();
        assert_eq!(longest, Some(120), "{shown}");
        assert!(text(&long, 10).contains("422 größer"));
    }

    #[test]
    fn none_are_told_in_a_line() {
        let none = LetterPage {
            letters: Vec::new(),
            total: 0,
            bytes: 0,
            limit_bytes: None,
        };
        assert_eq!(text(&none, 80), "0 letters, all together 0 B on disk\n");
    }
}
