//! HDR V2 interval logs, as HdrHistogram's own tools read them: the latency that counts without a tag,
//! the others tagged. Values are nanoseconds; the printed maxima are milliseconds.

use std::{fs, io, path::Path, time::Duration};

use hdrhistogram::serialization::{
    V2DeflateSerializer,
    interval_log::{IntervalLogIterator, IntervalLogWriterBuilder, LogEntry, Tag},
};

use crate::bench::{crew::Interval, histogram::Times};

/// A log that grows with the run: every interval is in the file when it is over.
pub(in crate::bench) struct Log {
    file: fs::File,
    head: bool,
    start: std::time::SystemTime,
}

impl Log {
    pub(in crate::bench) fn create(path: &Path) -> io::Result<Self> {
        let file = fs::File::create(path)?;
        Ok(Self { file, head: true, start: std::time::SystemTime::now() })
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
            let primary = if tally.response.is_empty() { "service" } else { "response" };
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
                (&tally.service, Tag::new("service").filter(|_| !tally.response.is_empty())),
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

/// One histogram of a log.
pub(in crate::bench) struct Entry {
    /// None for the latency that counts.
    pub(in crate::bench) tag: Option<String>,
    pub(in crate::bench) from: Duration,
    pub(in crate::bench) length: Duration,
    pub(in crate::bench) times: Times,
}

/// What a log says.
#[derive(Default)]
pub(in crate::bench) struct Read {
    pub(in crate::bench) entries: Vec<Entry>,
    /// Whether the untagged histograms are response times.
    pub(in crate::bench) response: bool,
}

/// Reads a log.
pub(in crate::bench) fn read(text: &[u8]) -> Result<Read, String> {
    let head = String::from_utf8_lossy(text.get(..4096).unwrap_or(text)).into_owned();
    let mut read = Read { response: head.contains("[Untagged: response]"), ..Read::default() };
    for entry in IntervalLogIterator::new(text) {
        let entry = entry.map_err(|error| format!("no HDR log: {error:?}"))?;
        if let LogEntry::Interval(interval) = entry {
            read.entries.push(Entry {
                tag: interval.tag().map(|tag| tag.as_str().to_owned()),
                from: interval.start_timestamp(),
                length: interval.duration(),
                times: Times::decoded(interval.encoded_histogram())?,
            });
        }
    }
    if read.entries.is_empty() {
        return Err("no HDR log: it has no histogram".to_owned());
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::tally::Tally;

    #[test]
    fn what_is_written_is_read_again() {
        let path = std::env::temp_dir().join(format!("tcpecho-hdr-{}", std::process::id()));
        let mut log = Log::create(&path).unwrap();
        log.begin();
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
        assert_eq!(log.entries.len(), 6);
        let mut merged = Times::new();
        let untagged = log.entries.iter().filter(|entry| entry.tag.is_none());
        untagged.for_each(|entry| merged.add(&entry.times));
        assert!(merged == all);
        assert_eq!(log.entries[2].from, Duration::from_millis(500));
        assert_eq!(log.entries[2].length, Duration::from_millis(500));
        assert_eq!(log.entries[1].tag.as_deref(), Some("service"));
        assert!(read(b"").is_err());
        assert!(read(b"0.0,1.0,2.0,garbage\n").is_err());
        assert!(read(b"not a log at all").is_err());
    }
}
