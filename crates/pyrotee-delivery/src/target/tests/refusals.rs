//! Who hears of records that are given up.

use super::*;

/// What was told of the records that a server of one act refused.
async fn refused_by(settings: &Settings, surface: Surface, act: Act) -> Vec<String> {
    let rig = Rig::with(settings, Server::new(move |_| act.clone()));
    // An odd number of bytes is no message of protobuf here.
    rig.offer_sized(surface, "a", 101);
    rig.settled().await;
    let told = rig.refused.lock().unwrap().clone();
    rig.drained().await;
    told
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
        let refused = refused_by(&settings(), Surface::Ingest, answer).await;
        assert_eq!(refused, [format!("central name=a Rejected {told}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn secrets_are_not_told() {
    let settings = Settings {
        credentials: Some(crate::Credentials::Bearer("hunter2-hunter2".into())),
        ..settings()
    };
    let answer = Act::answer(400, "who is hunter2-hunter2?");
    let refused = refused_by(&settings, Surface::Ingest, answer).await;
    assert_eq!(refused.len(), 1);
    assert!(!refused[0].contains("hunter2"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_read_is_told_without_an_answer() {
    let tags = Tags::parse([("env".to_owned(), "test".to_owned())]).expect("it is a tag");
    let settings = Settings { tags, ..settings() };
    let refused = refused_by(&settings, Surface::Push, Act::OK).await;
    let told = "central name=a Undecodable after 1: None undecodable";
    assert_eq!(refused, [told]);
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
        let refused = refused_by(&given_up, Surface::Ingest, act.clone()).await;
        assert!(refused.is_empty(), "{act:?}: {refused:?}");
    }
}
