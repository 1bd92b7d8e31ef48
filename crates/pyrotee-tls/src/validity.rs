//! The dates of a certificate, by a walk of its DER. The walk is short; the crates that parse whole
//! certificates bring 17 others.

use std::time::{Duration, SystemTime};

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`: the version, which certificates of version 1 leave out.
const VERSION: u8 = 0xa0;

/// From when until when a certificate is valid, both inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First second of validity.
    pub not_before: SystemTime,
    /// Last second of validity.
    pub not_after: SystemTime,
}

/// When a certificate (DER) expires; `None` if the bytes are no certificate.
pub fn not_after(der: &[u8]) -> Option<SystemTime> {
    validity(der).map(|validity| validity.not_after)
}

/// The dates of a certificate (DER); `None` if the bytes are no certificate. Neither the signature nor the
/// rest of the certificate is checked.
pub fn validity(der: &[u8]) -> Option<Validity> {
    let mut certificate = Reader(Reader(der).expect(SEQUENCE)?);
    let mut signed = Reader(certificate.expect(SEQUENCE)?);
    if signed.0.first() == Some(&VERSION) {
        signed.expect(VERSION)?;
    }
    signed.expect(INTEGER)?; // serial number
    signed.expect(SEQUENCE)?; // algorithm of the signature
    signed.expect(SEQUENCE)?; // issuer
    let mut dates = Reader(signed.expect(SEQUENCE)?);
    Some(Validity {
        not_before: dates.time()?,
        not_after: dates.time()?,
    })
}

/// The rest of a list of DER values.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of the next value.
    fn expect(&mut self, expected: u8) -> Option<&'a [u8]> {
        let (tag, content) = self.next()?;
        (tag == expected).then_some(content)
    }

    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, rest) = rest.split_first()?;
        let (length, rest) = match first {
            0..=0x7f => (usize::from(first), rest),
            // The number of bytes of the length, then the length.
            0x81..=0x84 => {
                let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
                let value = length
                    .iter()
                    .fold(0_u32, |value, &byte| value << 8 | u32::from(byte));
                (usize::try_from(value).ok()?, rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn time(&mut self) -> Option<SystemTime> {
        let (tag, text) = self.next()?;
        let digits = text.strip_suffix(b"Z")?;
        let (year, rest) = match tag {
            // Two digits stand for the years 1950 to 2049 (RFC 5280, 4.1.2.5.1).
            UTC_TIME => {
                let (year, rest) = digits.split_at_checked(2)?;
                let year = number(year)?;
                (if year < 50 { 2000 + year } else { 1900 + year }, rest)
            }
            GENERALIZED_TIME => {
                let (year, rest) = digits.split_at_checked(4)?;
                (number(year)?, rest)
            }
            _ => return None,
        };
        let [month, day, hour, minute, second] = pairs(rest)?;
        let is_time = (1..=12).contains(&month)
            && (1..=31).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        let seconds = days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
        let distance = Duration::from_secs(seconds.unsigned_abs());
        match (is_time, seconds < 0) {
            (false, _) => None,
            (true, true) => SystemTime::UNIX_EPOCH.checked_sub(distance),
            (true, false) => SystemTime::UNIX_EPOCH.checked_add(distance),
        }
    }
}

fn pairs(text: &[u8]) -> Option<[i64; 5]> {
    let (pairs, rest) = text.as_chunks::<2>();
    let pairs: &[[u8; 2]; 5] = pairs.try_into().ok()?;
    let mut numbers = [0; 5];
    for (number_of_pair, pair) in numbers.iter_mut().zip(pairs) {
        *number_of_pair = number(pair)?;
    }
    rest.is_empty().then_some(numbers)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |value, &digit| {
        digit
            .is_ascii_digit()
            .then(|| value * 10 + i64::from(digit - b'0'))
    })
}

/// Days from 1970-01-01 to a date of the Gregorian calendar. Years are counted from March, so that the leap
/// day is the last of a year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month < 3 { year - 1 } else { year };
    let months_since_march = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    365 * year + leap_days + (153 * months_since_march + 2) / 5 + day - 719_469
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// A certificate that is valid from some seconds after the beginning of 1950 on, for some seconds.
    fn certificate(from: u64, seconds: u64) -> (Vec<u8>, Validity) {
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(1950, 1, 1) + Duration::from_secs(from);
        params.not_after = params.not_before + Duration::from_secs(seconds);
        let expected = Validity {
            not_before: params.not_before.into(),
            not_after: params.not_after.into(),
        };
        let key = KeyPair::generate().unwrap();
        (params.self_signed(&key).unwrap().der().to_vec(), expected)
    }

    /// Seconds of the years 1950 to 2105.
    const SPAN: u64 = 156 * 365 * 86_400;

    proptest! {
        #[test]
        fn the_dates_are_those_of_the_certificate(from in 0..SPAN, to in 0..SPAN) {
            let (der, expected) = certificate(from.min(to), from.abs_diff(to));
            prop_assert_eq!(validity(&der), Some(expected));
        }

        #[test]
        fn damaged_certificates_are_read_without_a_panic(
            cut in 0_usize..400,
            changes in prop::collection::vec((0_usize..400, any::<u8>()), 0..8),
        ) {
            let (mut der, _) = certificate(0, 1);
            for (place, byte) in changes {
                if let Some(old) = der.get_mut(place) {
                    *old = byte;
                }
            }
            let _ = validity(&der);
            der.truncate(cut);
            let _ = validity(&der);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = validity(&bytes);
        }
    }

    #[test]
    fn dates_far_away_are_read_too() {
        let text = |tag: u8, text: &str| {
            let length = u8::try_from(text.len()).unwrap();
            let bytes = [&[tag, length], text.as_bytes()].concat();
            Reader(&bytes).time()
        };
        let end = text(GENERALIZED_TIME, "99991231235959Z").unwrap();
        let since = end.duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_secs(), 253_402_300_799);
        assert_eq!(
            text(UTC_TIME, "700101000000Z"),
            Some(SystemTime::UNIX_EPOCH)
        );
        let start = SystemTime::UNIX_EPOCH - Duration::from_secs(62_167_219_200);
        assert_eq!(text(GENERALIZED_TIME, "00000101000000Z"), Some(start));
        for wrong in [
            "7001010000Z",
            "700101000000",
            "701301000000Z",
            "70010124000aZ",
            "",
        ] {
            assert_eq!(text(UTC_TIME, wrong), None);
        }
    }
}
