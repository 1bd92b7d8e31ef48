use super::*;

fn read(source: &[u8]) -> Result<Vec<Field>, Undecodable> {
    Fields::new(source).collect()
}

#[test]
fn fields_of_every_kind_are_found() {
    let source = b"\x08\x96\x01\x11ABCDEFGH\x1a\x02ab\x25ABCD\xfa\xff\xff\xff\x0f\x00";
    let fields: Vec<_> = read(source)
        .unwrap()
        .iter()
        .map(|field| (field.number, field.start, field.value.clone()))
        .collect();
    assert_eq!(
        fields,
        [
            (1, 0, 1..3),
            (2, 3, 4..12),
            (3, 12, 14..16),
            (4, 16, 17..21),
            ((1 << 29) - 1, 21, 27..27)
        ]
    );
}

#[test]
fn varints_may_be_longer_than_they_need_to_be() {
    let source = b"\x8a\x80\x00\x81\x80\x80\x80\x80\x80\x80\x80\x80\x00a";
    let fields = read(source).unwrap();
    assert_eq!((fields[0].number, fields[0].value.clone()), (1, 13..14));
}

#[test]
fn malformed_fields_are_faults() {
    for (source, fault) in [
        (&b"\x80"[..], ProtobufFault::Truncated),
        (b"\x08", ProtobufFault::Truncated),
        (b"\x09ABCDEFG", ProtobufFault::Truncated),
        (b"\x0a\x02a", ProtobufFault::Truncated),
        (
            b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            ProtobufFault::Truncated,
        ),
        (b"\x0d123", ProtobufFault::Truncated),
        (
            b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02",
            ProtobufFault::Varint,
        ),
        (
            b"\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00",
            ProtobufFault::Varint,
        ),
        (b"\x00\x00", ProtobufFault::Number),
        (b"\x02\x00", ProtobufFault::Number),
        (b"\x80\x80\x80\x80\x10\x00", ProtobufFault::Number),
        (b"\x0b\x0c", ProtobufFault::Group),
        (b"\x0c", ProtobufFault::Group),
        (b"\x0e", ProtobufFault::Type),
        (b"\x0f", ProtobufFault::Type),
    ] {
        assert_eq!(read(source), Err(fault.into()), "{source:?}");
    }
}

#[test]
fn varints_are_written_as_short_as_they_can_be() {
    for value in [0, 1, 127, 128, 300, u64::MAX] {
        let mut out = Vec::new();
        put_varint(&mut out, value);
        let read = Fields::new(&out).varint().unwrap();
        assert_eq!(read, value);
        assert!(out.last() != Some(&0) || value == 0);
    }
}
