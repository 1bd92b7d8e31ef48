//! `pyrotee dead-letters show`.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use pyrotee_admin::json::dead_letters::LetterDetail;
use pyrotee_letters::Id;
use pyrotee_terminal::{print, print_json, size, visible};

use super::source::SourceArgs;

const EXAMPLES: &str = "\
Examples:
  pyrotee dead-letters show 20261124T104300.123Z-000042-central
  pyrotee dead-letters show 20261124T104300.123Z-000042-central --body profile.bin

The directory has two files of that name with the same content: .json describes the
rejection, .http is the request, which `pyrotee send --file` sends unchanged.";

/// Show one dead letter: its rejection, and the head of its request
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Id of the dead letter, as `ls` prints it
    id: String,
    /// Write the body of the request to this file
    #[arg(long, value_name = "FILE")]
    body: Option<PathBuf>,
    /// Print the letter as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let id = args.id.parse::<Id>()?;
    let source = args.source.open(false)?;
    let detail = source.detail(&id).await?;
    if let Some(file) = &args.body {
        let request = source.request(&id).await?;
        let (_, body) = pyrotee_letters::read_captured(&request)
            .with_context(|| format!("the dead letter {id} is damaged"))?;
        std::fs::write(file, body)
            .with_context(|| format!("failed to write {}", file.display()))?;
    }
    match args.json {
        true => print_json(&detail.json),
        false => print(&text(&detail.value)),
    }
}

/// The fields of a letter, and the head of its request.
fn text(detail: &LetterDetail) -> String {
    let letter = &detail.letter;
    let status = letter.status.map_or("-".to_owned(), |it| it.to_string());
    let fields = [
        ("id", letter.id.clone()),
        ("target", letter.target.clone()),
        ("surface", letter.surface.clone()),
        ("app", letter.app.clone().unwrap_or_else(|| "-".to_owned())),
        ("received", letter.received.clone()),
        ("rejected", with_age(&letter.rejected)),
        ("reason", letter.reason.clone()),
        ("tries", letter.tries.to_string()),
        ("status", status),
        ("answer", letter.answer.clone()),
        ("request", String::new()),
    ];
    let mut text = String::new();
    for (key, value) in fields {
        let line = format!("{key:<10}{}", visible(&value));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    for line in &detail.head {
        text.push_str(&format!("    {}\n", visible(line)));
    }
    text.push_str(&format!("    ({} of body)\n", size(detail.body_bytes)));
    text
}

fn with_age(time: &str) -> String {
    let at = humantime::parse_rfc3339(time).ok();
    let age = at.and_then(|at| SystemTime::now().duration_since(at).ok());
    match age {
        Some(age) => {
            let age = Duration::from_secs(age.as_secs());
            format!("{time}, {} ago", humantime::format_duration(age))
        }
        None => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::letter;
    use super::*;

    #[test]
    fn one_is_told_with_the_head_of_its_request() {
        let one = LetterDetail {
            letter: letter("20261124T104300.123Z-000042-central", "moon"),
            head: vec![
                "POST /ingest?name=a HTTP/1.1".to_owned(),
                "X: \u{1b}".to_owned(),
            ],
            body_bytes: 5,
        };
        let text = text(&one);
        for line in [
            "id        20261124T104300.123Z-000042-central",
            "status    422",
            "answer    moon",
            "request",
            "    POST /ingest?name=a HTTP/1.1",
            "    X: \\u{1b}",
            "    (5 B of body)",
        ] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
    }
}
