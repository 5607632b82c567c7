//! Reads the HdrHistogram V2 encoding without trusting it: what a header claims reserves no memory, and the
//! work is linear in the bytes that are there.

use std::io::Read;

use flate2::read::ZlibDecoder;

use tcpecho_load::Times;

use super::MOST as MOST_TIMES;

/// The format's magic numbers, with the low byte that says how counts are written (V2: LEB128).
const PLAIN: u32 = 0x1c84_9313;
const DEFLATED: u32 = 0x1c84_9314;
/// Fields between the magic number and the counts.
const HEAD: usize = 36;
/// Inflated bytes at most. Every count of the largest useful histogram takes less.
const MOST: usize = 16 << 20;

/// Adds the counts of an encoded histogram up in `Times`. Values beyond its range count as its longest.
pub(in crate::bench) fn decode(bytes: &[u8]) -> Result<Times, String> {
    let (cookie, rest) = word(bytes).ok_or_else(ends_early)?;
    match cookie {
        PLAIN => plain(rest),
        DEFLATED => {
            let (length, rest) = word(rest).ok_or_else(ends_early)?;
            let deflated = rest.get(..length as usize).ok_or_else(ends_early)?;
            let mut inflated = Vec::new();
            ZlibDecoder::new(deflated)
                .take(MOST as u64 + 1)
                .read_to_end(&mut inflated)
                .map_err(|error| format!("not an HDR histogram: {error}"))?;
            if inflated.len() > MOST {
                return Err(format!("an HDR histogram of more than {MOST} bytes"));
            }
            match word(&inflated) {
                Some((PLAIN, rest)) => plain(rest),
                _ => Err("not an HDR histogram: the wrong magic number inside".to_owned()),
            }
        }
        _ => Err("not an HDR histogram (V2): the wrong magic number".to_owned()),
    }
}

/// What follows the magic number of a histogram that is not deflated.
fn plain(bytes: &[u8]) -> Result<Times, String> {
    let head = bytes.get(..HEAD).ok_or_else(ends_early)?;
    let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|n| head[at + n]));
    let long = |at: usize| u64::from_be_bytes(std::array::from_fn(|n| head[at + n]));
    let (length, offset, digits) = (word(0), word(4), word(8));
    let (low, high, ratio) = (long(12), long(20), f64::from_bits(long(28)));
    let counts = bytes[HEAD..].get(..length as usize).ok_or_else(ends_early)?;
    if offset != 0 || ratio.to_bits() != 1.0_f64.to_bits() {
        return Err("an HDR histogram with an offset or a ratio, which is not supported".to_owned());
    }
    let layout = Layout::new(low, high, digits)
        .ok_or_else(|| format!("an HDR histogram from {low} to {high} with {digits} digits"))?;
    let mut times = Times::new();
    let (mut index, mut rest) = (0_u64, counts);
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (number, more) = variable(rest).ok_or_else(ends_early)?;
        rest = more;
        // Zigzag: a negative number is so many places without a count.
        let number = (number >> 1) as i64 ^ -((number & 1) as i64);
        if number > 0 {
            let value = layout
                .value(index)
                .ok_or("an HDR histogram with more counts than its range has places")?;
            total = total.saturating_add(number.unsigned_abs());
            if total > MOST_TIMES {
                return Err(format!("an HDR histogram of more than {MOST_TIMES} times"));
            }
            times.record_many(value, number.unsigned_abs());
        }
        index = index.saturating_add(if number < 0 { number.unsigned_abs() } else { 1 });
    }
    // The longest time may be any of its bucket.
    if let (Some(shortest), Some(longest)) = (times.min(), times.max()) {
        times.set_extremes(shortest, times.inner().highest_equivalent(longest));
    }
    Ok(times)
}

/// Which value stands at which place.
struct Layout {
    /// The first value that has no place: a power of two units above the highest value.
    end: u128,
    /// Binary logarithms of the unit and of the places in each power of two.
    unit: u32,
    half: u32,
}

impl Layout {
    fn new(low: u64, high: u64, digits: u32) -> Option<Self> {
        if low == 0 || high < low.checked_mul(2)? || digits > 5 {
            return None;
        }
        let places = (2 * 10_u64.pow(digits)).next_power_of_two().ilog2();
        let (unit, half) = (low.ilog2(), places.max(1) - 1);
        let mut end = 2_u128 << half << unit;
        while end <= u128::from(high) {
            end *= 2;
        }
        Some(Self { end, unit, half })
    }

    /// The lowest value that is counted at a place; `None` beyond the range.
    fn value(&self, index: u64) -> Option<u64> {
        let half = 1_u64 << self.half;
        // The first 2 half places are one by one, then there are half places for each power of two.
        let bucket = (index >> self.half).saturating_sub(1);
        let place = if index < half { index } else { (index & (half - 1)) + half };
        let shift = u32::try_from(bucket).ok()?.checked_add(self.unit).filter(|n| *n < 64)?;
        let value = u128::from(place) << shift;
        u64::try_from(value).ok().filter(|_| value < self.end)
    }
}

fn word(bytes: &[u8]) -> Option<(u32, &[u8])> {
    bytes.split_first_chunk().map(|(word, rest)| (u32::from_be_bytes(*word), rest))
}

/// A LEB128 number of at most nine bytes, of which the ninth has eight bits.
fn variable(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (place, byte) in bytes.iter().enumerate().take(9) {
        let bits = if place < 8 { byte & 0x7f } else { *byte };
        value |= u64::from(bits) << (7 * place);
        if byte & 0x80 == 0 || place == 8 {
            return Some((value, &bytes[place + 1..]));
        }
    }
    None
}

fn ends_early() -> String {
    "an HDR histogram that ends early".to_owned()
}

#[cfg(test)]
mod tests {
    use hdrhistogram::{
        Histogram,
        serialization::{Serializer, V2DeflateSerializer, V2Serializer},
    };
    use proptest::prelude::*;

    use super::*;

    fn encoded(histogram: &Histogram<u64>, deflate: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        if deflate {
            V2DeflateSerializer::new().serialize(histogram, &mut bytes).unwrap();
        } else {
            V2Serializer::new().serialize(histogram, &mut bytes).unwrap();
        }
        bytes
    }

    proptest! {
        /// Of every shape that other tools use, what the library wrote is read as it was.
        #[test]
        fn it_reads_what_the_library_wrote(
            low in 1_u64..5000,
            digits in 0_u8..=5,
            values in proptest::collection::vec((1_u64..3_600_000_000_000, 1_u64..1 << 40), 0..50),
            deflate in any::<bool>(),
        ) {
            let mut written = Histogram::new_with_bounds(low, 3_600_000_000_000, digits).unwrap();
            let mut expected = Times::new();
            for (value, count) in values {
                written.record_n(value, count).unwrap();
                expected.record_many(written.lowest_equivalent(value), count);
            }
            let times = decode(&encoded(&written, deflate));
            prop_assert_eq!(times.as_ref().map(Times::inner), Ok(expected.inner()));
        }

        #[test]
        fn no_bytes_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            at in 0_usize..60,
            byte in any::<u8>(),
        ) {
            let _ = decode(&bytes);
            let mut near = encoded(&Histogram::new_with_bounds(1, 1 << 30, 3).unwrap(), false);
            near.extend(&bytes);
            if let Some(place) = near.get_mut(at) {
                *place = byte;
            }
            let _ = decode(&near);
            let _ = decode(&[&PLAIN.to_be_bytes()[..], &bytes].concat());
        }
    }

    /// The head of a histogram that is not deflated.
    fn head(length: u32, digits: u32, low: u64, high: u64) -> Vec<u8> {
        let mut bytes = PLAIN.to_be_bytes().to_vec();
        for word in [length, 0, digits] {
            bytes.extend(word.to_be_bytes());
        }
        for long in [low, high, 1.0_f64.to_bits()] {
            bytes.extend(long.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn the_longest_time_survives_a_round_trip() {
        let mut times = Times::new();
        times.record(u64::MAX);
        let read = super::super::decoded(&super::super::encoded(&times)).unwrap();
        assert!(read.inner() == times.inner() && read.max() >= times.max());
    }

    #[test]
    fn a_claimed_length_allocates_nothing() {
        let claims = head(u32::MAX, 3, 1, u64::MAX);
        assert!(decode(&claims).unwrap_err().contains("ends early"));
        assert!(decode(&[&DEFLATED.to_be_bytes()[..], &[255; 8]].concat()).is_err());
        // 32 MB of zeros, in 32 kB.
        let mut bomb = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::copy(&mut std::io::repeat(0).take(32 << 20), &mut bomb).unwrap();
        let bomb = bomb.finish().unwrap();
        let length = u32::try_from(bomb.len()).unwrap().to_be_bytes();
        let bomb = [&DEFLATED.to_be_bytes()[..], &length, &bomb].concat();
        assert!(decode(&bomb).unwrap_err().contains("more than 16777216 bytes"));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (digits, low, high) in [(6, 1, 1000), (3, 0, 1000), (3, 600, 1000), (3, u64::MAX, 9)] {
            assert!(decode(&head(0, digits, low, high)).is_err(), "{digits} {low} {high}");
        }
        // One count beyond the range; a number that goes on after the end.
        let beyond = [head(2, 0, 1, 2), vec![0x7f, 2]].concat();
        assert!(decode(&beyond).unwrap_err().contains("more counts"));
        assert!(decode(&[head(1, 0, 1, 2), vec![0x80]].concat()).is_err());
        // Twice 2^62 times.
        let many = [&[0x80; 8][..], &[0x80]].concat().repeat(2);
        let many = [head(18, 3, 1, 1000), many].concat();
        assert!(decode(&many).unwrap_err().contains("more than 9223372036854775807 times"));
        assert!(decode(&[head(0, 3, 1, 1000)].concat()).unwrap().is_empty());
    }
}
