//! The encoding of a record, applied to bytes of a fuzzer.

use bytes::BufMut;
use pyrotee_queue::{Budget, Payload, Record};

use crate::record::{Decoded, decode, encode, seal};

/// Most bytes of a record that is encoded again: far above the length of an input.
const MOST: u64 = 16 << 20;

/// Reads `data` as a message, and as an extension of its first bytes with a record behind it, whose checksum is right.
/// Checks that a record which was read is the same after it is encoded and read again.
///
/// # Panics
/// If the decoder panics, or if the record differs.
pub fn check_record(data: &[u8]) {
    if let Ok(decoded) = decode(data) {
        check(&decoded);
    }
    let Some((&[len, ..], rest)) = data.split_first_chunk::<1>() else {
        return;
    };
    let (extension, record) = rest.split_at(usize::from(len).min(rest.len()));
    let mut message = Vec::new();
    seal(&mut message, extension);
    message.put_slice(record);
    if let Ok(decoded) = decode(&message) {
        check(&decoded);
    }
}

fn check(decoded: &Decoded<'_>) {
    let reservation = Budget::new(MOST).reserve(decoded.body.len() as u64);
    let reservation = reservation.expect("an input is short");
    let body = Payload::from(decoded.body.to_vec());
    let record = Record::new(decoded.head.clone(), body, reservation);
    let bytes = encode(&record, "", decoded.whose, decoded.history);
    let again = decode(&bytes).expect("a record that was encoded can be read");
    assert_eq!(again.head, decoded.head);
    assert_eq!(again.body, decoded.body);
    assert_eq!(
        (again.whose, again.history),
        (decoded.whose, decoded.history)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_of_every_length_are_read_or_refused() {
        let data: Vec<u8> = (0..=255).collect();
        for len in 0..data.len() {
            check_record(&data[..len]);
        }
    }
}
