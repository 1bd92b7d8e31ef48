//! A reader of Push requests, written a second time on purpose: it shares no code with the relay.
//!
//! `push.v1.PushRequest` in Pyroscope's `api/push/v1/push.proto`.

use std::io::Read;

use flate2::read::GzDecoder;

use crate::support::Head;

/// The path of the procedure.
pub(crate) const PATH: &str = "/push.v1.PusherService/Push";

/// `RawProfileSeries`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// In the order of the wire, duplicates included.
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) samples: Vec<Sample>,
}

/// `RawSample`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub(crate) raw_profile: Vec<u8>,
    pub(crate) id: String,
}

/// Reads the body of a connect unary request in protobuf.
pub(crate) fn read(head: &Head, body: &[u8]) -> Vec<Series> {
    let message = match head.get("content-encoding").as_deref() {
        Some("gzip") => unzipped(body),
        None | Some("identity") => body.to_vec(),
        Some(other) => panic!("nobody said {other} may be used"),
    };
    fields(&message)
        .into_iter()
        .map(|field| match field {
            (1, bytes) => series(bytes),
            (number, _) => panic!("a request has no field {number}"),
        })
        .collect()
}

pub(crate) fn unzipped(body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    GzDecoder::new(body)
        .read_to_end(&mut plain)
        .expect("what is said to be gzip is");
    plain
}

fn series(message: &[u8]) -> Series {
    let (mut labels, mut samples) = (Vec::new(), Vec::new());
    for (number, bytes) in fields(message) {
        match number {
            1 => labels.push((text(bytes, 1), text(bytes, 2))),
            2 => samples.push(Sample {
                raw_profile: of(bytes, 1).to_vec(),
                id: text(bytes, 2),
            }),
            number => panic!("the SDKs send no field {number} in a series"),
        }
    }
    Series { labels, samples }
}

fn text(message: &[u8], number: u64) -> String {
    let bytes = of(message, number).to_vec();
    String::from_utf8(bytes).expect("a string is UTF-8")
}

/// The last field with `number`, as the rules of protobuf say; empty if there is none.
fn of(message: &[u8], number: u64) -> &[u8] {
    let mut fields = fields(message).into_iter().rev();
    fields.find(|field| field.0 == number).map_or(&[], |f| f.1)
}

/// Every field of a message, all of which are length-delimited in this schema.
fn fields(mut message: &[u8]) -> Vec<(u64, &[u8])> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        assert_eq!(tag & 7, 2, "field {} has another wire type", tag >> 3);
        let length = usize::try_from(varint(&mut message)).expect("a length of this machine");
        let (bytes, rest) = message.split_at(length);
        fields.push((tag >> 3, bytes));
        message = rest;
    }
    fields
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first().expect("a varint ends");
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a varint has ten bytes at most");
}

#[test]
fn a_request_is_read_as_it_was_written() {
    // series { labels { "a": "b" }, samples { raw_profile: 300 zeros, ID: "i" } }
    let mut sample = vec![0x0a, 0xac, 0x02];
    sample.extend([0; 300]);
    sample.extend([0x12, 1, b'i']);
    let mut series = vec![0x0a, 6, 0x0a, 1, b'a', 0x12, 1, b'b', 0x12, 0xb2, 0x02];
    series.extend(&sample);
    let mut request = vec![0x0a, 0xbd, 0x02];
    request.extend(&series);
    let expected = Series {
        labels: vec![("a".to_owned(), "b".to_owned())],
        samples: vec![Sample {
            raw_profile: vec![0; 300],
            id: "i".to_owned(),
        }],
    };
    let head = Head::new(b"POST /x HTTP/1.1\r\n\r\n");
    assert_eq!(read(&head, &request), [expected]);
}
