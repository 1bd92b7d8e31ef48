//! Compares a stream and its consumers, which somebody else may have created, with what they must be like.

use std::fmt::Debug;

use async_nats::jetstream::consumer::{self, AckPolicy, pull};
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy};

use super::{DUPLICATE_WINDOW, ProvideError};

/// Checks the settings without which records would be lost, or would reach another target.
pub(super) fn stream(found: &Config, needed: &Config) -> Result<(), ProvideError> {
    let name = format!("stream {}", found.name);
    same(&name, "subjects", &found.subjects, &needed.subjects)?;
    same(
        &name,
        "retention",
        &found.retention,
        &RetentionPolicy::WorkQueue,
    )?;
    same(&name, "discard", &found.discard, &DiscardPolicy::New)?;
    same(&name, "no_ack", &found.no_ack, &false)?;
    same(&name, "sealed", &found.sealed, &false)?;
    same(&name, "mirror", &found.mirror, &None)?;
    same(&name, "sources", &found.sources.is_some(), &false)?;
    let is_transformed = found.subject_transform.is_some();
    same(&name, "subject_transform", &is_transformed, &false)
}

/// Checks the settings of a consumer without which records would be lost, or would never be delivered.
pub(super) fn consumer(
    found: &consumer::Config,
    needed: &pull::Config,
) -> Result<(), ProvideError> {
    let name = needed.durable_name.as_deref().unwrap_or_default();
    let name = format!("consumer {name} of {}", needed.filter_subject);
    same(
        &name,
        "filter_subject",
        &found.filter_subject,
        &needed.filter_subject,
    )?;
    same(&name, "ack_policy", &found.ack_policy, &AckPolicy::Explicit)?;
    same(&name, "deliver_subject", &found.deliver_subject, &None)?;
    same(&name, "headers_only", &found.headers_only, &false)
}

fn same<T: Debug + PartialEq>(
    name: &str,
    what: &'static str,
    found: &T,
    needed: &T,
) -> Result<(), ProvideError> {
    match found == needed {
        true => Ok(()),
        false => Err(ProvideError::Setting {
            name: name.to_owned(),
            what,
            found: format!("{found:?}"),
            needed: format!("{needed:?}"),
        }),
    }
}

/// Settings of a stream that differ from those with which the relay would create it.
pub(super) fn stream_warnings(found: &Config, needed: &Config) -> Vec<String> {
    let name = &found.name;
    let mut warnings = Vec::new();
    let mut warn = |text: String| warnings.push(format!("stream {name} {text}"));
    if found.max_bytes != needed.max_bytes {
        warn(format!(
            "holds {} bytes instead of {}: pyrotee changes no stream; change it with `nats stream edit`, or set \
             shared.max-bytes",
            found.max_bytes, needed.max_bytes
        ));
    }
    let is_short = !found.max_age.is_zero() && found.max_age < needed.max_age;
    if is_short || (needed.max_age.is_zero() && !found.max_age.is_zero()) {
        warn(format!(
            "forgets records after {} s, before they expire, and nobody counts them: raise its max_age to {} s \
             (0: never)",
            found.max_age.as_secs(),
            needed.max_age.as_secs()
        ));
    }
    if found.duplicate_window < DUPLICATE_WINDOW {
        warn(format!(
            "knows stored records for {} s only: raise its duplicate_window to {} s, or profiles may arrive twice",
            found.duplicate_window.as_secs(),
            DUPLICATE_WINDOW.as_secs()
        ));
    }
    if found.deny_purge {
        warn(
            "refuses purges, so that expired profiles stay in it and `purge` fails: create it without deny_purge"
                .to_owned(),
        );
    }
    if found.max_message_size > 0 && found.max_message_size < needed.max_message_size {
        warn(format!(
            "takes no record above {} bytes, and larger profiles stay in the memory of their relay: raise its max_msg_size \
             to {}",
            found.max_message_size, needed.max_message_size
        ));
    }
    if found.num_replicas < needed.num_replicas {
        warn(format!(
            "is stored {} times instead of {}: run as many servers and raise its replicas with `nats stream edit`, or set \
             shared.replicas: {}",
            found.num_replicas, needed.num_replicas, found.num_replicas
        ));
    }
    if found.max_messages >= 0 || found.max_messages_per_subject >= 0 {
        let limit = found.max_messages.max(found.max_messages_per_subject);
        if limit > 0 {
            warn(format!(
                "holds at most {limit} records beside its bytes: remove that limit"
            ));
        }
    }
    warnings
}

/// Settings of a consumer that differ from those with which the relay would create it.
pub(super) fn consumer_warnings(found: &consumer::Config, needed: &pull::Config) -> Vec<String> {
    let subject = &needed.filter_subject;
    let mut warnings = Vec::new();
    if found.max_deliver > 0 {
        warnings.push(format!(
            "the consumer of {subject} gives up a record after {} deliveries, and the record stays in the stream for \
             ever: set max_deliver to -1",
            found.max_deliver
        ));
    }
    if found.max_ack_pending >= 0 {
        warnings.push(format!(
            "the consumer of {subject} delivers at most {} records that are not settled, and records that wait for \
             their retry count: set max_ack_pending to -1",
            found.max_ack_pending
        ));
    }
    if found.ack_wait < needed.ack_wait {
        warnings.push(format!(
            "the consumer of {subject} gives a record to another relay after {} s: raise ack_wait to {} s, or profiles \
             may arrive twice",
            found.ack_wait.as_secs(),
            needed.ack_wait.as_secs()
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pyrotee_queue::SurfaceId;

    use super::super::StreamSpec;
    use super::*;

    fn spec() -> StreamSpec {
        StreamSpec {
            target: "central".to_owned(),
            max_bytes: 1 << 30,
            max_age: Some(Duration::from_secs(3_300)),
            ack_wait: Duration::from_secs(30),
        }
    }

    #[test]
    fn what_the_relay_creates_it_also_accepts() {
        let needed = spec().stream("pyrotee", 3, 1 << 20);
        assert_eq!(stream(&needed, &needed), Ok(()));
        assert_eq!(stream_warnings(&needed, &needed), Vec::<String>::new());
    }

    #[test]
    fn settings_that_lose_records_are_faults_and_others_are_warnings() {
        let needed = spec().stream("pyrotee", 3, 1 << 20);
        let faults: [fn(&mut Config); 5] = [
            |it| it.discard = DiscardPolicy::Old,
            |it| it.retention = RetentionPolicy::Interest,
            |it| it.subjects = vec!["other.>".to_owned()],
            |it| it.no_ack = true,
            |it| it.sealed = true,
        ];
        for change in faults {
            let mut found = needed.clone();
            change(&mut found);
            let fault = stream(&found, &needed).unwrap_err().to_string();
            assert!(fault.contains("stream pyrotee-central"), "{fault}");
            assert!(fault.contains("must be"), "{fault}");
        }
        type Warned = (fn(&mut Config), &'static str);
        let warned: [Warned; 7] = [
            (|it| it.deny_purge = true, "purges"),
            (|it| it.max_message_size = 1_000, "max_msg_size"),
            (|it| it.max_bytes = 5, "max-bytes"),
            (|it| it.max_age = Duration::from_secs(60), "max_age"),
            (|it| it.duplicate_window = Duration::from_secs(5), "twice"),
            (|it| it.num_replicas = 1, "replicas"),
            (|it| it.max_messages = 9, "at most 9"),
        ];
        for (change, text) in warned {
            let mut found = needed.clone();
            change(&mut found);
            assert_eq!(stream(&found, &needed), Ok(()), "{text}");
            let warnings = stream_warnings(&found, &needed);
            assert!(
                matches!(&warnings[..], [one] if one.contains(text)),
                "{warnings:?}"
            );
        }
    }

    #[test]
    fn a_consumer_that_gives_up_records_is_told() {
        let needed = spec().consumer("pyrotee", SurfaceId(1));
        let found = consumer::Config {
            filter_subject: needed.filter_subject.clone(),
            ack_policy: AckPolicy::Explicit,
            max_deliver: 5,
            max_ack_pending: 1_000,
            ack_wait: Duration::from_secs(5),
            ..consumer::Config::default()
        };
        assert_eq!(consumer(&found, &needed), Ok(()));
        assert_eq!(consumer_warnings(&found, &needed).len(), 3);
        let other = consumer::Config {
            filter_subject: "pyrotee.other.1".to_owned(),
            ..found
        };
        assert!(consumer(&other, &needed).is_err());
    }
}
