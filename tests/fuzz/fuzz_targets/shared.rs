//! A record of the shared backlog, as another relay published it: it is read or refused, and the same when it is written
//! again.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| pyrotee_jetstream::testing::check_record(data));
