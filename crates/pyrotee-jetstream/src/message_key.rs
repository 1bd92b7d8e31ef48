//! What tells the messages of a stream apart.

/// One message of a target's stream. The sequences begin anew if somebody deletes the stream and it is made again; the times
/// do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MessageKey {
    pub(crate) sequence: u64,
    /// When the broker stored the message, in nanoseconds since 1970.
    pub(crate) stored: u64,
}

impl MessageKey {
    /// A key that is not above any key with this sequence.
    pub(crate) const fn least(sequence: u64) -> Self {
        Self {
            sequence,
            stored: 0,
        }
    }
}

/// What the subject of a message's answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) key: MessageKey,
    /// How often the message was delivered, this time included.
    pub(crate) times: u64,
}

impl Delivery {
    /// Reads the subject of an answer: `$JS.ACK.‹stream›.‹consumer›.‹times›.‹sequence›.‹sequence of the consumer›.‹stored›.…`, in
    /// newer brokers with the domain and the account after `ACK`. `None`: the subject is another one.
    pub(crate) fn of(reply: &str) -> Option<Self> {
        let tokens: Vec<_> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
        let first = if tokens.len() > 7 { 4 } else { 2 };
        let number = |index: usize| tokens.get(first + index)?.parse().ok();
        Some(Self {
            times: number(0)?,
            key: MessageKey {
                sequence: number(1)?,
                stored: number(3)?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_of_the_subject_of_an_answer_are_read() {
        let expected = Some(Delivery {
            key: MessageKey {
                sequence: 77,
                stored: 1_700_000_000_000_000_000,
            },
            times: 3,
        });
        for reply in [
            "$JS.ACK.pyrotee-a.s1.3.77.5.1700000000000000000.9",
            "$JS.ACK._.hash.pyrotee-a.s1.3.77.5.1700000000000000000.9.x",
        ] {
            assert_eq!(Delivery::of(reply), expected, "{reply}");
        }
        assert_eq!(Delivery::of("$JS.ACK.a.b.c.d"), None);
        assert_eq!(Delivery::of("_INBOX.1"), None);
    }
}
