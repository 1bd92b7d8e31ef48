//! Repeated integers, packed or not.

use pyroscope_wire::proto::{Field, Fields};

use super::PprofFault;

/// Calls `each` for the integers of a repeated field, packed or not.
pub(super) fn varints(
    source: &[u8],
    field: &Field,
    mut each: impl FnMut(u64) -> Result<(), PprofFault>,
) -> Result<(), PprofFault> {
    match field.delimited() {
        Ok(packed) => Fields::within(source, packed)
            .varints()
            .try_for_each(|value| each(value?)),
        Err(_) => each(field.varint(source)?),
    }
}
