//! A dead letter for tests, whose name has a control character.

use pyrotee_letters::Letter;

pub(super) fn letter(id: &str, answer: &str) -> Letter {
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
