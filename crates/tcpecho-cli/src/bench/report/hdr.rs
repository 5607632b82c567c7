//! HDR V2 interval logs, as HdrHistogram's own tools read them: the latency that counts without a tag,
//! the others tagged. Values are nanoseconds; the printed maxima are milliseconds.

use std::{collections::BTreeMap, fs, io, time::Duration};

use hdrhistogram::serialization::{
    V2DeflateSerializer,
    interval_log::{IntervalLogWriterBuilder, Tag},
};
use tcpecho_load::{Interval, Times};

use super::{summary::MOST_TAGS, text::printable};
use crate::bench::histogram::{self, decoded};

/// Intervals of a log: eleven days of seconds.
const MOST_STRETCHES: usize = 1_000_000;

/// A log that grows with the run: every interval is in the file when it is over.
pub(in crate::bench) struct Log {
    file: fs::File,
    head: bool,
    /// Whether requests are due on a schedule: then response times are the ones without a tag.
    response: bool,
    start: std::time::SystemTime,
}

impl Log {
    /// An empty one, in this file.
    pub(in crate::bench) fn new(file: fs::File, response: bool) -> Self {
        Self { file, head: true, response, start: std::time::SystemTime::now() }
    }

    /// Nothing more comes. A network file system may report only here that there was no room.
    pub(in crate::bench) fn close(self) -> io::Result<()> {
        Ok(crate::output::close(self.file)?)
    }

    /// The measured time begins now.
    pub(in crate::bench) fn begin(&mut self) {
        self.start = std::time::SystemTime::now();
    }

    pub(in crate::bench) fn add(&mut self, interval: &Interval) -> io::Result<()> {
        let mut serializer = V2DeflateSerializer::new();
        let mut builder = IntervalLogWriterBuilder::new();
        let tally = &interval.tally;
        let mut text = Vec::new();
        let head = std::mem::take(&mut self.head);
        if head {
            // Not by what is in the first interval: it may be empty.
            let primary = if self.response { "response" } else { "service" };
            builder.add_comment("tcpecho bench; values in nanoseconds");
            builder.add_comment(&format!("[Untagged: {primary}]"));
            builder.with_start_time(self.start).with_base_time(self.start);
        }
        builder.with_max_value_divisor(1e6);
        let start = Duration::from_nanos(interval.from);
        let length = Duration::from_nanos(interval.to.saturating_sub(interval.from));
        {
            let mut log = builder.begin_log_with(&mut text, &mut serializer)?;
            let tagged = [
                (&tally.response, None),
                (&tally.service, Tag::new("service").filter(|_| self.response)),
                (&tally.connect, Tag::new("connect")),
            ];
            for (times, tag) in tagged.into_iter().filter(|(times, _)| !times.is_empty()) {
                log.write_histogram(times.inner(), start, length, tag)
                    .map_err(|error| io::Error::other(error.to_string()))?;
            }
        }
        // The library writes the head of a log with every writer; here it stands once.
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            if head || !line.starts_with(b"#") {
                io::Write::write_all(&mut self.file, line)?;
            }
        }
        Ok(())
    }
}

/// What a log says.
#[derive(Debug, Default)]
pub(in crate::bench) struct Read {
    /// The intervals of the latency that counts, which has no tag.
    pub(in crate::bench) stretches: Vec<Stretch>,
    /// All intervals together, by their tags; without one, the latency that counts.
    pub(in crate::bench) times: BTreeMap<Option<String>, Times>,
    /// Whether the untagged histograms are response times.
    pub(in crate::bench) response: bool,
}

/// One interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) struct Stretch {
    pub(in crate::bench) from: Duration,
    pub(in crate::bench) length: Duration,
    pub(in crate::bench) count: u64,
    pub(in crate::bench) p50: Option<u64>,
    pub(in crate::bench) p99: Option<u64>,
    pub(in crate::bench) max: Option<u64>,
}

/// Reads a log: comments, a legend, and for each interval `[Tag=TAG,]START,LENGTH,MAX,HISTOGRAM`, times in
/// seconds.
pub(in crate::bench) fn read(text: &[u8]) -> Result<Read, String> {
    let mut read = Read::default();
    for (number, line) in text.split(|byte| *byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.starts_with(b"#") {
            read.response |= line.starts_with(b"#[Untagged: response]");
        } else if !line.is_empty() && !line.starts_with(b"\"StartTimestamp\"") {
            read.add(line).map_err(|why| format!("not an HDR log: line {}: {why}", number + 1))?;
        }
    }
    if read.times.is_empty() {
        return Err("not an HDR log: it has no histogram".to_owned());
    }
    Ok(read)
}

impl Read {
    fn add(&mut self, line: &[u8]) -> Result<(), String> {
        let line = std::str::from_utf8(line).map_err(|_| "it is not text (UTF-8)".to_owned())?;
        let (tag, rest) = match line.strip_prefix("Tag=") {
            Some(rest) => {
                let (tag, rest) = rest.split_once(',').ok_or("it ends after the tag")?;
                (Some(printable(tag)), rest)
            }
            None => (None, line),
        };
        let fields: Vec<&str> = rest.splitn(5, ',').collect();
        let [from, length, _, encoded] = fields.as_slice() else {
            return Err("it does not have four fields".to_owned());
        };
        let (from, length) = (seconds(from)?, seconds(length)?);
        let times = decoded(encoded)?;
        let counted =
            self.times.values().map(Times::count).fold(times.count(), u64::saturating_add);
        if counted > histogram::MOST {
            return Err(format!("the histograms have more than {} times", histogram::MOST));
        }
        if tag.is_none() {
            if self.stretches.len() == MOST_STRETCHES {
                return Err(format!("more than {MOST_STRETCHES} intervals"));
            }
            self.stretches.push(Stretch {
                from,
                length,
                count: times.count(),
                p50: times.quantile(0.5),
                p99: times.quantile(0.99),
                max: times.max(),
            });
        }
        if !self.times.contains_key(&tag) && self.times.len() > MOST_TAGS {
            return Err(format!("more than {MOST_TAGS} tags"));
        }
        self.times.entry(tag).or_default().add(&times);
        Ok(())
    }
}

/// A moment or a length, in seconds. What is longer than a thousand years is neither.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.0..=3.2e10).contains(seconds));
    seconds
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or_else(|| format!("\"{}\" is not a number of seconds", printable(text)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcpecho_load::Tally;

    use crate::bench::histogram::encoded;

    #[test]
    fn what_is_written_is_read_again() {
        let path = std::env::temp_dir().join(format!("tcpecho-hdr-{}", std::process::id()));
        let mut log = Log::new(fs::File::create(&path).unwrap(), true);
        log.begin();
        // Nothing comes in the first interval.
        log.add(&Interval { from: 0, to: 0, tally: Tally::new() }).unwrap();
        let mut all = Times::new();
        for n in 0..3_u64 {
            let mut tally = Tally::new();
            for value in 0..1000 {
                let time = (n + 1) * value * 977;
                tally.service.record(time);
                tally.response.record(time * 2);
                all.record(time * 2);
            }
            log.add(&Interval { from: n * 500_000_000, to: (n + 1) * 500_000_000, tally }).unwrap();
        }
        let text = fs::read(&path).unwrap();
        let _ = fs::remove_file(&path);
        let log = read(&text).unwrap();
        assert!(log.response);
        assert!(log.times[&None].inner() == all.inner());
        let tags: Vec<_> = log.times.keys().map(|tag| tag.as_deref()).collect();
        assert_eq!(tags, [None, Some("service")]);
        assert_eq!(log.stretches.len(), 3);
        let second = log.stretches[1];
        assert_eq!((second.from, second.length), (Duration::from_millis(500), second.from));
        assert_eq!(log.stretches.iter().map(|one| one.count).sum::<u64>(), all.count());
        assert!(read(b"").is_err());
        assert!(read(b"0.0,1.0,2.0,garbage\n").is_err());
        assert!(read(b"not a log at all").is_err());
    }

    #[test]
    fn a_log_that_cannot_be_is_refused() {
        let mut times = Times::new();
        times.record(5);
        let histogram = encoded(&times);
        let log = |head: &str| read(format!("{head},0.0,{histogram}\n").as_bytes());
        assert!(log("0.0,1.0").is_ok() && log("Tag=a b,1511000000.123,1").is_ok());
        for head in ["-1,1", "0,-1", "0,nan", "0,inf", "0,1e300", "x,1", "0,5,5", "Tag=x", "0"] {
            let error = log(head).unwrap_err();
            assert!(error.starts_with("not an HDR log: line 1: "), "{error}");
        }
        assert!(read(b"0,1,2,\xff\n").is_err());
        let tags: Vec<String> = (0..70).map(|n| format!("Tag=t{n},0,1,0,{histogram}\n")).collect();
        assert!(read(tags.concat().as_bytes()).unwrap_err().contains("tags"));
        let mut many = Times::new();
        many.record_many(5, 1 << 62);
        let many = format!("0,1,0,{}\n", encoded(&many));
        assert_eq!(read(many.as_bytes()).unwrap().times[&None].count(), 1 << 62);
        assert!(
            read(many.repeat(2).as_bytes()).unwrap_err().contains("more than 9223372036854775807")
        );
        let hidden = log("Tag=\x1b[31m,0,1").unwrap();
        assert_eq!(hidden.times.keys().flatten().next().unwrap(), "\\u{1b}[31m");
    }
}
