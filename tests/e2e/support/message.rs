//! Messages of Push and OTLP, written and read a second time on purpose: just enough protobuf to see what a target was
//! sent, without code of the relay.

use std::io::{Read, Write};

use flate2::{
    Compress, Compression, Crc, FlushCompress, Status, read::MultiGzDecoder, write::GzEncoder,
};

/// A field as it was in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) number: u64,
    /// The content; of a varint or a number, its bytes.
    pub(crate) value: Vec<u8>,
}

/// A series of a Push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// Names and values in their order.
    pub(crate) labels: Vec<(String, String)>,
    /// Every `raw_profile`.
    pub(crate) profiles: Vec<Vec<u8>>,
    /// Fields of the series that no schema knows.
    pub(crate) unknown: Vec<Field>,
}

/// Splits a message into fields. Panics if bytes are left over or missing.
pub(crate) fn fields(mut message: &[u8]) -> Vec<Field> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message).0;
        let value = match tag & 7 {
            0 => varint(&mut message).1,
            1 => take(&mut message, 8),
            2 => {
                let length = varint(&mut message).0;
                take(&mut message, usize::try_from(length).unwrap())
            }
            5 => take(&mut message, 4),
            other => panic!("wire type {other}"),
        };
        let number = tag >> 3;
        fields.push(Field { number, value });
    }
    fields
}

/// The contents of every field with `number`.
pub(crate) fn all(message: &[u8], number: u64) -> Vec<Vec<u8>> {
    let fields = fields(message).into_iter();
    let fields = fields.filter(|field| field.number == number);
    fields.map(|field| field.value).collect()
}

/// The last field with `number` as a text; empty without one.
pub(crate) fn text(message: &[u8], number: u64) -> String {
    let last = all(message, number).pop().unwrap_or_default();
    String::from_utf8(last).expect("a text is UTF-8")
}

/// Every series of a `PushRequest`.
pub(crate) fn series(message: &[u8]) -> Vec<Series> {
    let read = |series: Vec<u8>| Series {
        labels: all(&series, 1)
            .iter()
            .map(|label| (text(label, 1), text(label, 2)))
            .collect(),
        profiles: all(&series, 2)
            .iter()
            .flat_map(|sample| all(sample, 1))
            .collect(),
        unknown: fields(&series)
            .into_iter()
            .filter(|field| field.number > 3)
            .collect(),
    };
    all(message, 1).into_iter().map(read).collect()
}

/// The attributes of every resource of an `ExportProfilesServiceRequest`, texts only.
pub(crate) fn resources(message: &[u8]) -> Vec<Vec<(String, String)>> {
    let attributes = |profiles: &Vec<u8>| {
        let resources = all(profiles, 1).into_iter();
        let attributes = resources.flat_map(|resource| all(&resource, 1));
        attributes
            .map(|pair| (text(&pair, 1), text(&all(&pair, 2).concat(), 1)))
            .collect()
    };
    all(message, 1).iter().map(attributes).collect()
}

/// Writes a field that has a length.
pub(crate) fn field(number: u64, value: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    put_varint(&mut out, number << 3 | 2);
    put_varint(&mut out, value.len() as u64);
    out.extend_from_slice(value);
    out
}

/// A `LabelPair` of Push or the like, as field 1.
pub(crate) fn label(name: &str, value: &str) -> Vec<u8> {
    let pair = [field(1, name.as_bytes()), field(2, value.as_bytes())].concat();
    field(1, &pair)
}

/// A series with one profile, as a field of a `PushRequest`.
pub(crate) fn one_series(labels: &[(&str, &str)], profile: &[u8]) -> Vec<u8> {
    let mut series: Vec<u8> = labels.iter().flat_map(|(k, v)| label(k, v)).collect();
    let sample = [field(1, profile), field(2, b"an-id")].concat();
    series.extend(field(2, &sample));
    field(1, &series)
}

/// An `ExportProfilesServiceRequest` of one resource: its attributes, something in its scope, and a
/// dictionary.
pub(crate) fn export(attributes: &[(&str, &str)]) -> Vec<u8> {
    let pair = |(key, value): &(&str, &str)| {
        let value = field(1, value.as_bytes());
        field(1, &[field(1, key.as_bytes()), field(2, &value)].concat())
    };
    let resource: Vec<u8> = attributes.iter().flat_map(pair).collect();
    let scope = field(2, &field(9, b"scope"));
    let profiles = [field(1, &resource), scope].concat();
    [field(1, &profiles), field(2, &field(5, b"dictionary"))].concat()
}

/// A message in a gRPC frame.
pub(crate) fn frame(compressed: bool, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[u8::from(compressed)], &length[..], message].concat()
}

pub(crate) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn gunzip(packed: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    MultiGzDecoder::new(packed)
        .read_to_end(&mut plain)
        .expect("a whole gzip stream");
    plain
}

/// A valid gzip stream of a megabyte that is a gigabyte of zeros unpacked.
///
/// Most of the stream repeats what a full flush has written, so little has to be packed.
pub(crate) fn bomb() -> Vec<u8> {
    const CHUNK: usize = 16 << 20;
    const CHUNKS: usize = 64;
    let zeros = vec![0; CHUNK];
    let mut packed = Vec::with_capacity(1 << 20);
    let mut compress = Compress::new(Compression::best(), false);
    let status = compress.compress_vec(&zeros, &mut packed, FlushCompress::Full);
    assert_eq!(status.unwrap(), Status::Ok);
    assert_eq!(compress.total_in(), CHUNK as u64);
    let mut one = Crc::new();
    one.update(&zeros);
    let mut all = Crc::new();
    (0..CHUNKS).for_each(|_| all.combine(&one));

    let mut out = b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec();
    (0..CHUNKS).for_each(|_| out.extend_from_slice(&packed));
    out.extend_from_slice(b"\x01\0\0\xff\xff");
    out.extend_from_slice(&all.sum().to_le_bytes());
    out.extend_from_slice(&all.amount().to_le_bytes());
    out
}

/// A varint and the bytes that it was read from.
fn varint(message: &mut &[u8]) -> (u64, Vec<u8>) {
    let length = 1 + message.iter().take_while(|byte| **byte >= 0x80).count();
    assert!(length <= 10, "a varint of {length} bytes");
    let bytes = take(message, length);
    let parts = bytes.iter().enumerate();
    let value = parts.fold(0, |value, (nth, byte)| {
        value | u64::from(byte & 0x7f) << (7 * nth)
    });
    (value, bytes)
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    out.push(u8::try_from(value).unwrap());
}

fn take(message: &mut &[u8], length: usize) -> Vec<u8> {
    let (taken, rest) = message.split_at_checked(length).expect("it is not cut off");
    *message = rest;
    taken.to_vec()
}
