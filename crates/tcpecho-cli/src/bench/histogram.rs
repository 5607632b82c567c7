//! Histograms in results and logs: the HdrHistogram V2 format, deflated, in base64.

pub(super) mod decode;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use tcpecho_load::Times;

/// Times that a histogram from a file, or the sum of several, can have: no larger count can be encoded, and
/// no sum of counts overflows.
pub(super) const MOST: u64 = i64::MAX as u64;

pub(super) use crate::threshold::QUANTILES;

/// Encodes a histogram as it stands in a log.
pub(super) fn encoded(times: &Times) -> String {
    let mut bytes = Vec::new();
    match V2DeflateSerializer::new().serialize(times.inner(), &mut bytes) {
        Ok(_) => STANDARD.encode(bytes),
        Err(_) => String::new(),
    }
}

/// Decodes what [`encoded`] or another HDR tool wrote.
pub(super) fn decoded(text: &str) -> Result<Times, String> {
    let bytes = STANDARD.decode(text).map_err(|_| "its histogram is not base64".to_owned())?;
    decode::decode(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merging_is_exact_and_so_is_writing_and_reading() {
        let (mut all, mut parts) = (Times::new(), [Times::new(), Times::new(), Times::new()]);
        let mut value = 1_u64;
        for n in 0..30_000 {
            value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888);
            let time = (value >> 33) * (1 + n % 1000);
            all.record(time);
            parts[n as usize % 3].record(time);
        }
        let mut merged = Times::new();
        for part in &parts {
            merged.add(&decoded(&encoded(part)).unwrap());
        }
        assert!(merged.inner() == all.inner());
        assert_eq!(merged.quantile(0.999), all.quantile(0.999));
        assert_eq!(merged.count(), 30_000);
    }

    #[test]
    fn no_bytes_panic() {
        let mut times = Times::new();
        (1..2000_u64).for_each(|n| times.record(n * n * 31));
        let mut whole = Vec::new();
        // Without the compression, behind which no change would be seen.
        let mut plain = hdrhistogram::serialization::V2Serializer::new();
        plain.serialize(times.inner(), &mut whole).unwrap();
        let mut state = 1_u64;
        for round in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..3 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let at = (state >> 33) as usize;
                let at = if round % 2 == 0 { at % 40 } else { at % bytes.len() };
                bytes[at] = (state >> 20) as u8;
            }
            if state.is_multiple_of(5) {
                bytes.truncate((state >> 40) as usize % bytes.len());
            }
            let _ = decoded(&STANDARD.encode(&bytes));
        }
    }

    #[test]
    fn what_is_no_histogram_is_refused() {
        assert!(decoded("not a histogram").is_err());
        assert!(decoded("").is_err());
    }
}
