//! Edits of protobuf messages.

use std::ops::Range;

use super::Splice;
use crate::proto::Fields;
use crate::tags::Tags;
use crate::undecodable::Undecodable;

/// Removes the pairs whose key is the key of a tag. Pairs are field 1 of `list`; `key_of` reads the key
/// of a pair.
pub(crate) fn remove_tagged<'s>(
    splice: &mut Splice,
    source: &'s [u8],
    list: Range<usize>,
    tags: &Tags,
    key_of: impl Fn(Range<usize>) -> Result<&'s [u8], Undecodable>,
) -> Result<(), Undecodable> {
    for field in Fields::within(source, list) {
        let field = field?;
        if field.number == 1 && tags.has(key_of(field.delimited()?)?) {
            splice.remove(field.range());
            splice.check()?;
        }
    }
    Ok(())
}
