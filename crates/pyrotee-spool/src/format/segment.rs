//! Names and heads of segments.

use super::code::{Cut, Put};
use super::envelope::{Fault, seal, unseal};
use super::{Names, TargetId};

const MAGIC: [u8; 8] = *b"PYROTEES";

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SegmentHead {
    /// Where the checksums of records start from.
    pub(crate) salt: u64,
    /// The lowest number that may be in it.
    pub(crate) first: u64,
    pub(crate) names: Names,
}

impl SegmentHead {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut content = Vec::new();
        content.put_u64(self.salt);
        content.put_u64(self.first);
        put_names(&mut content, &self.names);
        seal(MAGIC, &content)
    }

    /// The head, and its length.
    pub(crate) fn decode(bytes: &[u8]) -> Result<(Self, usize), Fault> {
        let (content, len) = unseal(MAGIC, bytes)?;
        let mut cut = Cut(content);
        let mut head = || {
            Some(Self {
                salt: cut.u64()?,
                first: cut.u64()?,
                names: cut_names(&mut cut)?,
            })
        };
        Ok((head().ok_or(Fault::Damaged)?, len))
    }
}

fn put_names(content: &mut Vec<u8>, names: &Names) {
    content.put_u16(u16::try_from(names.len()).unwrap_or(u16::MAX));
    for (id, name) in names {
        content.put_u16(*id);
        content.put_short(name.as_bytes());
    }
}

fn cut_names(cut: &mut Cut<'_>) -> Option<Names> {
    let count: TargetId = cut.u16()?;
    (0..count)
        .map(|_| Some((cut.u16()?, cut.text()?)))
        .collect()
}

/// The name of the segment that begins with number `first`.
pub(crate) fn segment_name(first: u64) -> String {
    format!("{first:020}.log")
}

/// No spool gets there; numbers below can be counted up without a care.
const NUMBERS: u64 = 1 << 63;

/// The number that the segment of this name begins with.
pub(crate) fn segment_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    let plain = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = plain.then(|| digits.parse().ok()).flatten();
    number.filter(|number| *number < NUMBERS)
}
