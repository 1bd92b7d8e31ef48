//! Tests of which dropped records become dead letters.

use super::*;

/// The dead letters after one record with whose upload the server does `act`.
async fn dead_letters_of(settings: &Settings, surface: Surface, act: Act) -> Vec<String> {
    let rig = Rig::with(settings, Server::new(move |_| act.clone()));
    // An odd number of `x` bytes is not a protobuf message.
    rig.offer_sized(surface, "a", 101);
    rig.settled().await;
    let letters = rig.dead_letters.lock().unwrap().clone();
    rig.drained().await;
    letters
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_with_the_answer_and_the_tries() {
    for (status, text, told) in [
        (400, "no\n such app", "after 1: Some(400) no such app"),
        (413, "", "after 1: Some(413) "),
        (
            422,
            "the moon is full",
            "after 3: Some(422) the moon is full",
        ),
    ] {
        let answer = Act::answer(status, text);
        let letters = dead_letters_of(&settings(), Surface::Ingest, answer).await;
        assert_eq!(letters, [format!("central name=a Rejected {told}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_not_told() {
    let settings = Settings {
        credentials: Some(crate::Credentials::Bearer("hunter2-hunter2".into())),
        ..settings()
    };
    let answer = Act::answer(400, "who is hunter2-hunter2?");
    let letters = dead_letters_of(&settings, Surface::Ingest, answer).await;
    assert_eq!(letters.len(), 1);
    assert!(!letters[0].contains("hunter2"), "{letters:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_read_is_told_without_an_answer() {
    let tags = Tags::parse([("env".to_owned(), "test".to_owned())]).expect("it is a tag");
    let settings = Settings { tags, ..settings() };
    let letters = dead_letters_of(&settings, Surface::Push, Act::OK).await;
    let told = "central name=a Undecodable after 1: None undecodable";
    assert_eq!(letters, [told]);
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_for_another_reason_is_not_told() {
    let given_up = Settings {
        on_ambiguous: OnAmbiguous::Drop,
        ..settings()
    };
    for act in [
        Act::OK,
        Act::answer(503, ""),
        Act::CloseAfterBody { keep: false },
    ] {
        let letters = dead_letters_of(&given_up, Surface::Ingest, act.clone()).await;
        assert!(letters.is_empty(), "{act:?}: {letters:?}");
    }
}
