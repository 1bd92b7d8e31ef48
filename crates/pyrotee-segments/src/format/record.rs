//! Encodes and decodes the records of a segment.

use std::time::{Duration, SystemTime};

use bytes::BufMut;
use crc32fast::Hasher;
use pyrotee_queue::{Head, Headers, Payload, SurfaceId};

use super::TargetId;
use super::fields::{FieldReader, len32, put_short};

/// The first bytes of a record.
pub(crate) const MAGIC: [u8; 4] = *b"\xf0PyR";

/// Length of a [`RecordPrefix`], in bytes.
pub(crate) const PREFIX_LEN: usize = 24;

/// Length of the shortest record: a prefix, and a head without takers and query.
pub const SHORTEST_RECORD: u64 = PREFIX_LEN as u64 + 25;

/// Longest head of a record, in bytes: hyper accepts no request target beyond 64 KiB.
const LONGEST_HEAD: u32 = 1 << 20;

const HAS_TYPE: u8 = 1;
const HAS_ENCODING: u8 = 2;
/// No record of version 1 has this flag.
const HAS_HEADERS: u8 = 4;
/// Readers of version 2 that do not know this flag ignore the tags, because they are the last field.
const HAS_TAGS: u8 = 8;

/// The checksum of records, with the salt of the spool as its start value. A client does not know the salt,
/// so it cannot write bytes into a body that would pass for a record.
#[derive(Debug, Clone, Copy)]
pub struct Crc(u32);

impl Crc {
    /// The checksum of the records of a spool with this salt.
    pub fn salted(salt: u64) -> Self {
        let [a, b, c, d, e, f, g, h] = salt.to_le_bytes();
        Self(u32::from_le_bytes([a, b, c, d]) ^ u32::from_le_bytes([e, f, g, h]))
    }

    pub(crate) fn start(self) -> Hasher {
        Hasher::new_with_initial(self.0)
    }

    fn of<'a>(self, parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
        let mut hasher = self.start();
        for part in parts {
            hasher.update(part);
        }
        hasher.finalize()
    }
}

/// The prefix of a record: magic, lengths and checksums.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordPrefix {
    pub(crate) head_len: u32,
    pub(crate) body_len: u64,
    pub(crate) body_crc: u32,
    head_crc: u32,
}

/// The head of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHead {
    /// The number of the record.
    pub number: u64,
    /// The targets that had queued and not settled the record when it was written.
    pub takers: Vec<TargetId>,
    /// The head of the captured request.
    pub head: Head,
}

impl RecordPrefix {
    /// Decodes a prefix. `None`: the bytes are not the prefix of a record.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = FieldReader(bytes);
        if fields.bytes(MAGIC.len())? != MAGIC {
            return None;
        }
        let prefix = Self {
            head_len: fields.u32()?,
            body_len: fields.u64()?,
            body_crc: fields.u32()?,
            head_crc: fields.u32()?,
        };
        (prefix.head_len <= LONGEST_HEAD).then_some(prefix)
    }

    /// Length of prefix and head, in bytes.
    pub(crate) fn before_body(self) -> u64 {
        PREFIX_LEN as u64 + u64::from(self.head_len)
    }

    /// Length of the record, in bytes.
    pub(crate) fn record_len(self) -> u64 {
        self.before_body().saturating_add(self.body_len)
    }

    /// The part of the prefix that the head's checksum covers.
    fn covered(self) -> [u8; 16] {
        let mut covered = [0; 16];
        let (head, rest) = covered.split_at_mut(4);
        let (body, crc) = rest.split_at_mut(8);
        head.copy_from_slice(&self.head_len.to_le_bytes());
        body.copy_from_slice(&self.body_len.to_le_bytes());
        crc.copy_from_slice(&self.body_crc.to_le_bytes());
        covered
    }

    /// Whether `head`, the checksum of a record's head without the salt, agrees with this prefix.
    pub(crate) fn fits(self, head: u32, crc: Crc) -> bool {
        let mut hasher = crc.start();
        hasher.update(&self.covered());
        hasher.combine(&Hasher::new_with_initial_len(head, self.head_len.into()));
        hasher.finalize() == self.head_crc
    }

    /// Decodes the head in `bytes`. `None`: the head is damaged.
    pub(crate) fn decode_head(self, bytes: &[u8], crc: Crc) -> Option<RecordHead> {
        let sum = crc.of([self.covered().as_slice(), bytes]);
        (sum == self.head_crc)
            .then(|| RecordHead::decode(bytes))
            .flatten()
    }
}

impl RecordHead {
    /// Encodes prefix and head of a record with this body.
    pub fn encode(&self, body: &Payload, crc: Crc) -> Vec<u8> {
        let mut head = Vec::with_capacity(96 + self.head.len());
        head.put_u64_le(self.number);
        head.put_u64_le(nanoseconds(self.head.received));
        head.put_u8(self.head.surface.0);
        head.put_u8(self.head.hops);
        let (content_type, encoding) = (&self.head.content_type, &self.head.content_encoding);
        let headers = &self.head.headers;
        let flag = |present, bit| if present { bit } else { 0 };
        head.put_u8(
            flag(content_type.is_some(), HAS_TYPE)
                | flag(encoding.is_some(), HAS_ENCODING)
                | flag(!headers.is_empty(), HAS_HEADERS)
                | flag(self.head.captor_tags.is_some(), HAS_TAGS),
        );
        head.put_u16_le(u16::try_from(self.takers.len()).unwrap_or(u16::MAX));
        for taker in &self.takers {
            head.put_u16_le(*taker);
        }
        head.put_u32_le(len32(self.head.query.len()));
        head.extend_from_slice(self.head.query.as_bytes());
        for field in [content_type, encoding].into_iter().flatten() {
            head.put_u32_le(len32(field.len()));
            head.extend_from_slice(field);
        }
        if !headers.is_empty() {
            head.put_u8(u8::try_from(headers.iter().count()).unwrap_or(u8::MAX));
            for (name, value) in headers.iter() {
                put_short(&mut head, name.as_bytes());
                put_short(&mut head, value);
            }
        }
        if let Some(tags) = &self.head.captor_tags {
            head.put_u32_le(len32(tags.len()));
            head.extend_from_slice(tags.as_bytes());
        }
        let prefix = RecordPrefix {
            head_len: len32(head.len()),
            body_len: body.len(),
            body_crc: crc.of(body.frames().iter().map(|frame| &**frame)),
            head_crc: 0,
        };
        let head_crc = crc.of([prefix.covered().as_slice(), &head]);
        let mut bytes = Vec::with_capacity(PREFIX_LEN + head.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&prefix.covered());
        bytes.put_u32_le(head_crc);
        bytes.extend_from_slice(&head);
        bytes
    }

    /// Decodes a whole record: its head, and the body as a part of `bytes`. `None`: `bytes` are not exactly one record, or
    /// the record is damaged.
    pub fn decode_whole(bytes: &[u8], crc: Crc) -> Option<(Self, &[u8])> {
        let prefix = RecordPrefix::decode(bytes)?;
        let head = usize::try_from(prefix.head_len).ok()?;
        let (head, body) = bytes.get(PREFIX_LEN..)?.split_at_checked(head)?;
        let is_whole = body.len() as u64 == prefix.body_len && crc.of([body]) == prefix.body_crc;
        let head = prefix.decode_head(head, crc)?;
        is_whole.then_some((head, body))
    }

    /// Decodes `bytes`, encodes the head and decodes it again. Returns whether both heads are equal. `None`:
    /// `bytes` is not a head.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn is_stable(bytes: &[u8]) -> Option<bool> {
        let head = Self::decode(bytes)?;
        let written = head.encode(&Payload::default(), Crc(0));
        let again = written.get(PREFIX_LEN..).and_then(Self::decode);
        Some(again.as_ref() == Some(&head))
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = FieldReader(bytes);
        let number = fields.u64()?;
        let received = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(fields.u64()?))?;
        let (surface, hops, flags) = (SurfaceId(fields.u8()?), fields.u8()?, fields.u8()?);
        let count = fields.u16()?;
        let takers = (0..count).map(|_| fields.u16()).collect::<Option<_>>()?;
        let query = std::str::from_utf8(fields.long()?).ok()?.into();
        let mut optional = |bit| match flags & bit {
            0 => Some(None),
            _ => fields.long().map(Some),
        };
        let (content_type, content_encoding) = (optional(HAS_TYPE)?, optional(HAS_ENCODING)?);
        let headers = match flags & HAS_HEADERS {
            0 => Headers::default(),
            _ => headers(&mut fields)?,
        };
        let captor_tags = match flags & HAS_TAGS {
            0 => None,
            _ => Some(std::str::from_utf8(fields.long()?).ok()?.into()),
        };
        Some(Self {
            number,
            takers,
            head: Head {
                surface,
                query,
                content_type: content_type.map(Into::into),
                content_encoding: content_encoding.map(Into::into),
                headers,
                hops,
                received,
                captor_tags,
            },
        })
    }
}

fn headers(fields: &mut FieldReader<'_>) -> Option<Headers> {
    let count = fields.u8()?;
    let mut header = || Some((str::from_utf8(fields.short()?).ok()?, fields.short()?));
    (0..count).map(|_| header()).collect()
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(captor_tags: Option<&str>) -> RecordHead {
        RecordHead {
            number: 7,
            takers: vec![1, 2],
            head: Head {
                surface: SurfaceId(1),
                query: "name=a".into(),
                content_type: Some(b"x/y".as_slice().into()),
                content_encoding: None,
                headers: [("a", &b"1"[..])].into_iter().collect(),
                hops: 1,
                received: SystemTime::UNIX_EPOCH,
                captor_tags: captor_tags.map(Into::into),
            },
        }
    }

    /// The bytes of the head, without the prefix.
    fn encoded(record: &RecordHead) -> Vec<u8> {
        let mut bytes = record.encode(&Payload::default(), Crc(0));
        bytes.split_off(PREFIX_LEN)
    }

    #[test]
    fn the_tags_of_a_captor_are_read_again_however_long_they_are() {
        let long = format!("a={}", "x".repeat(100_000));
        for tags in [None, Some(""), Some("pod=a,zone=ä"), Some(&*long)] {
            let record = record(tags);
            assert_eq!(RecordHead::decode(&encoded(&record)), Some(record));
        }
    }

    #[test]
    fn a_field_of_a_later_build_is_ignored() {
        let with_tags = encoded(&record(Some("pod=a")));
        let without = encoded(&record(None));
        let flags = 18;
        let mut later = without.clone();
        later[flags] |= !(HAS_TYPE | HAS_ENCODING | HAS_HEADERS | HAS_TAGS);
        later.extend_from_slice(b"more");
        assert_eq!(RecordHead::decode(&later), Some(record(None)));
        // The tags are such a field for builds that do not know them.
        let mut expected = without.clone();
        expected[flags] |= HAS_TAGS;
        assert_eq!(with_tags.get(..without.len()), Some(&*expected));
    }

    #[test]
    fn tags_that_are_cut_or_no_text_are_damage() {
        let mut bytes = encoded(&record(Some("pod=a")));
        assert_eq!(RecordHead::decode(&bytes[..bytes.len() - 1]), None);
        *bytes.last_mut().unwrap() = 0xff;
        assert_eq!(RecordHead::decode(&bytes), None);
    }
}
