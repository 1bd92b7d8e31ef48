//! Records.

use std::time::{Duration, SystemTime};

use crc32fast::Hasher;
use pyrotee_queue::{Head, Payload, SurfaceId};

use super::TargetId;
use super::code::{Cut, Put, len32};

/// What a record begins with.
pub(crate) const MAGIC: [u8; 4] = *b"\xf0PyR";

/// Length of the part that comes before the head.
pub(crate) const FIXED: usize = 24;

/// No head is longer: hyper takes no request target beyond 64 KiB.
const LONGEST_HEAD: u32 = 1 << 20;

const HAS_TYPE: u8 = 1;
const HAS_ENCODING: u8 = 2;

/// The checksum of this spool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crc(u32);

impl Crc {
    pub(crate) fn salted(salt: u64) -> Self {
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

/// The fixed part of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lengths {
    pub(crate) head: u32,
    pub(crate) body: u64,
    pub(crate) body_crc: u32,
    head_crc: u32,
}

/// The head of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordHead {
    pub(crate) number: u64,
    /// Who took it, and had not settled it when it was written.
    pub(crate) takers: Vec<TargetId>,
    pub(crate) head: Head,
}

impl Lengths {
    /// Reads the fixed part; `None` if this cannot be one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut cut = Cut(bytes);
        if cut.bytes(MAGIC.len())? != MAGIC {
            return None;
        }
        let lengths = Self {
            head: cut.u32()?,
            body: cut.u64()?,
            body_crc: cut.u32()?,
            head_crc: cut.u32()?,
        };
        (lengths.head <= LONGEST_HEAD).then_some(lengths)
    }

    /// Length of what comes before the body.
    pub(crate) fn before_body(self) -> u64 {
        FIXED as u64 + u64::from(self.head)
    }

    pub(crate) fn whole(self) -> u64 {
        self.before_body().saturating_add(self.body)
    }

    fn covered(self) -> [u8; 16] {
        let mut covered = [0; 16];
        let (head, rest) = covered.split_at_mut(4);
        let (body, crc) = rest.split_at_mut(8);
        head.copy_from_slice(&self.head.to_le_bytes());
        body.copy_from_slice(&self.body.to_le_bytes());
        crc.copy_from_slice(&self.body_crc.to_le_bytes());
        covered
    }

    /// Reads the head, if it is what was written.
    pub(crate) fn head(self, bytes: &[u8], crc: Crc) -> Option<RecordHead> {
        let sum = crc.of([self.covered().as_slice(), bytes]);
        (sum == self.head_crc)
            .then(|| RecordHead::decode(bytes))
            .flatten()
    }
}

impl RecordHead {
    /// Everything that is written before `body`.
    pub(crate) fn encode(&self, body: &Payload, crc: Crc) -> Vec<u8> {
        let mut head = Vec::with_capacity(64 + self.head.len());
        head.put_u64(self.number);
        head.put_u64(nanoseconds(self.head.received));
        head.put_u8(self.head.surface.0);
        head.put_u8(self.head.hops);
        let (content_type, encoding) = (&self.head.content_type, &self.head.content_encoding);
        let flag = |field: &Option<Box<[u8]>>, bit| if field.is_some() { bit } else { 0 };
        head.put_u8(flag(content_type, HAS_TYPE) | flag(encoding, HAS_ENCODING));
        head.put_u16(u16::try_from(self.takers.len()).unwrap_or(u16::MAX));
        for taker in &self.takers {
            head.put_u16(*taker);
        }
        head.put_u32(len32(self.head.query.len()));
        head.extend_from_slice(self.head.query.as_bytes());
        for field in [content_type, encoding].into_iter().flatten() {
            head.put_u32(len32(field.len()));
            head.extend_from_slice(field);
        }
        let lengths = Lengths {
            head: len32(head.len()),
            body: body.len(),
            body_crc: crc.of(body.frames().iter().map(|frame| &**frame)),
            head_crc: 0,
        };
        let head_crc = crc.of([lengths.covered().as_slice(), &head]);
        let mut bytes = Vec::with_capacity(FIXED + head.len());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&lengths.covered());
        bytes.put_u32(head_crc);
        bytes.extend_from_slice(&head);
        bytes
    }

    /// Whether what is read from `bytes` is written as it was read; `None` if nothing is.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn is_stable(bytes: &[u8]) -> Option<bool> {
        let head = Self::decode(bytes)?;
        let written = head.encode(&Payload::default(), Crc(0));
        let again = written.get(FIXED..).and_then(Self::decode);
        Some(again.as_ref() == Some(&head))
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let mut cut = Cut(bytes);
        let number = cut.u64()?;
        let received = SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(cut.u64()?))?;
        let (surface, hops, flags) = (SurfaceId(cut.u8()?), cut.u8()?, cut.u8()?);
        let count = cut.u16()?;
        let takers = (0..count).map(|_| cut.u16()).collect::<Option<_>>()?;
        let mut field = || {
            let len = cut.u32()?;
            cut.bytes(usize::try_from(len).ok()?)
        };
        let query = std::str::from_utf8(field()?).ok()?.into();
        let mut optional = |bit| match flags & bit {
            0 => Some(None),
            _ => field().map(|value| Some(value.into())),
        };
        Some(Self {
            number,
            takers,
            head: Head {
                surface,
                query,
                content_type: optional(HAS_TYPE)?,
                content_encoding: optional(HAS_ENCODING)?,
                hops,
                received,
            },
        })
    }
}

fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    })
}
