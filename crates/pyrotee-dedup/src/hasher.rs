//! The hash by which two contents are compared.

use twox_hash::xxhash3_128::{DEFAULT_SECRET_LENGTH, RawHasher, SecretBuffer};

/// A 128-bit hash that is the same for any division of its input.
///
/// XXH3 prevents accidental collisions, not deliberate ones. That is enough here: a client that makes two contents
/// collide loses a profile of its own.
pub(crate) type Hasher = RawHasher<[u8; DEFAULT_SECRET_LENGTH]>;

/// A hasher with this seed.
pub(crate) fn seeded(seed: u64) -> Hasher {
    let secret = SecretBuffer::with_seed(seed, [0; DEFAULT_SECRET_LENGTH]);
    RawHasher::new(secret.expect("the secret has the default length"))
}
