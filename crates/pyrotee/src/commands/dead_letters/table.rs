//! Letters as a table, for people. What came from the network is shown, never obeyed by the terminal.

use std::time::SystemTime;

use pyrotee_admin::json::dead_letters::{LetterDetail, LetterPage};
use pyrotee_letters::Letter;

use crate::terminal::{Table, size, visible};

const HEAD: [&str; 6] = ["ID", "APP", "SURFACE", "SIZE", "REASON", "ANSWER"];

/// A row for each letter, at most `width` wide if that is possible, and a line that sums up.
pub(super) fn page(page: &LetterPage, width: usize) -> String {
    if page.letters.is_empty() {
        return sum(page);
    }
    let mut table = Table::new(HEAD);
    for letter in &page.letters {
        table.row(row(letter));
    }
    table.render(width) + &sum(page)
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

fn sum(page: &LetterPage) -> String {
    let shown = page.letters.len() as u64;
    let of = match shown < page.total {
        true => format!("{shown} of {} letters", page.total),
        false => format!("{shown} letters"),
    };
    let limit = page.limit_bytes;
    let limit = limit.map(|limit| format!(" of {}", size(limit)));
    let limit = limit.unwrap_or_default();
    format!("{of}, all together {}{limit} on disk\n", size(page.bytes))
}

/// All that is known of one.
pub(super) fn shown(shown: &LetterDetail) -> String {
    let letter = &shown.letter;
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
    for line in &shown.head {
        text.push_str(&format!("    {}\n", visible(line)));
    }
    text.push_str(&format!("    ({} of body)\n", size(shown.body_bytes)));
    text
}

fn with_age(time: &str) -> String {
    let at = humantime::parse_rfc3339(time).ok();
    let age = at.and_then(|at| SystemTime::now().duration_since(at).ok());
    match age {
        Some(age) => {
            let age = std::time::Duration::from_secs(age.as_secs());
            format!("{time}, {} ago", humantime::format_duration(age))
        }
        None => time.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: &str, answer: &str) -> Letter {
        Letter {
            app: Some("shop\u{1b}[2J".to_owned()),
            surface: "ingest".to_owned(),
            reason: "rejected".to_owned(),
            answer: answer.to_owned(),
            status: Some(422),
            bytes: 1_536,
            ..Letter::unreadable(&id.parse().unwrap(), "")
        }
    }

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
            page(&two(), 120),
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
        let text = page(&long, 120);
        let longest = text.lines().map(|line| line.chars().count()).max();
        assert_eq!(longest, Some(120), "{text}");
        assert!(page(&long, 10).contains("422 größer"));
    }

    #[test]
    fn none_are_told_in_a_line() {
        let none = LetterPage {
            letters: Vec::new(),
            total: 0,
            bytes: 0,
            limit_bytes: None,
        };
        assert_eq!(page(&none, 80), "0 letters, all together 0 B on disk\n");
    }

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
        let text = shown(&one);
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
