//! A script: what a server does with one connection, step by step.

use std::{fmt, sync::Arc};

use super::{
    cursor::{Cursor, Read},
    step::Step,
    value::{Delay, LONGEST_PAYLOAD, Payload},
};

/// The most steps of a script.
pub(super) const MOST_STEPS: usize = 64;

/// What a server does with one connection, step by step. At its end the connection is closed.
///
/// A script has a text, such as `echo 100; pause 2s; reset`, or the name of a [preset](crate::PRESETS). It is displayed as
/// the text that it was parsed from. Two scripts are equal if they do the same: `echo 5` equals `echo 5; close`.
///
/// ```
/// use std::time::Duration;
/// use tcpecho::Script;
///
/// let script = Script::new().echo(100).pause(Duration::from_secs(2)).reset();
/// assert_eq!(script.to_string(), "echo 100; pause 2s; reset");
/// assert_eq!("echo 100; pause 2s; reset".parse(), Ok(script));
/// assert_eq!("reset-after=100".parse(), Ok(Script::new().echo(100).reset()));
///
/// let error = "echo 100; pasue 2s".parse::<Script>().unwrap_err();
/// assert!(error.to_string().contains("column 11: "), "{error}");
/// ```
///
/// # Panics
/// The methods that add a step panic where the parser refuses the text: after 64 steps, after a step that ends the
/// connection, for a step that sends after [`fin`](Script::fin), and for a value that is out of range.
#[derive(Clone, Default)]
pub struct Script {
    /// Shared, because the report of every connection has its script.
    steps: Arc<Vec<Step>>,
    /// As it was written, if it was.
    text: Option<Arc<str>>,
}

impl PartialEq for Script {
    fn eq(&self, other: &Self) -> bool {
        self.before_close() == other.before_close()
    }
}

impl Eq for Script {}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Script({self})")
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        for (n, step) in self.steps.iter().enumerate() {
            if n > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{step}")?;
        }
        if self.steps.is_empty() { f.write_str("close") } else { Ok(()) }
    }
}

impl Script {
    /// Makes a script without steps, which closes the connection.
    #[must_use]
    pub fn new() -> Self {
        Script::default()
    }

    /// Returns the steps.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The steps without the `close` that is implied at the end.
    fn before_close(&self) -> &[Step] {
        self.steps.strip_suffix(&[Step::Close]).unwrap_or(&self.steps)
    }

    /// Reads the steps of one connection.
    pub(super) fn read(cursor: &mut Cursor<'_>) -> Read<Script> {
        cursor.skip_spaces();
        let begin = cursor.at();
        let text = cursor.rest();
        let mut script = Script::new();
        loop {
            cursor.skip_spaces();
            let before = cursor.clone();
            let step = Step::read(cursor)?;
            script.try_push(step).map_err(|sentence| before.wrong(sentence))?;
            let end = cursor.at();
            cursor.skip_spaces();
            if !cursor.take(';') {
                script.text = Some(text[..end - begin].into());
                return Ok(script);
            }
        }
    }

    /// The same script, displayed as `text`.
    pub(super) fn written(mut self, text: &str) -> Self {
        self.text = Some(text.into());
        self
    }

    fn try_push(&mut self, step: Step) -> Result<(), String> {
        step.check()?;
        if self.steps.len() == MOST_STEPS {
            return Err(format!("a script has at most {MOST_STEPS} steps"));
        }
        if let Some(last) = self.steps.last().filter(|step| step.is_last()) {
            return Err(format!("no step can follow {last}"));
        }
        if step.sends() && self.steps.contains(&Step::Fin) {
            return Err("after fin, nothing can be sent".into());
        }
        Arc::make_mut(&mut self.steps).push(step);
        Ok(())
    }

    /// Adds a step.
    ///
    /// # Panics
    /// If the script has 64 steps, if a step has ended the connection, if `step` sends after `fin`, or if a value is out of
    /// range. The other methods that add a step do the same.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.text = None;
        if let Err(sentence) = self.try_push(step) {
            panic!("{sentence}");
        }
        self
    }

    /// Sends back the next `bytes` bytes.
    #[must_use]
    pub fn echo(self, bytes: u64) -> Self {
        self.step(Step::Echo(Some(bytes)))
    }

    /// Sends back all bytes until the peer's FIN.
    #[must_use]
    pub fn echo_all(self) -> Self {
        self.step(Step::Echo(None))
    }

    /// Receives `bytes` bytes and sends nothing back.
    #[must_use]
    pub fn discard(self, bytes: u64) -> Self {
        self.step(Step::Discard(bytes))
    }

    /// Sends back the next `bytes` bytes with one bit changed.
    #[must_use]
    pub fn corrupt(self, bytes: u64) -> Self {
        self.step(Step::Corrupt(bytes))
    }

    /// Leaves the next `bytes` bytes out of the echo: the step `drop`.
    #[must_use]
    pub fn drop_bytes(self, bytes: u64) -> Self {
        self.step(Step::Drop(bytes))
    }

    /// Sends back the next `bytes` bytes twice; at most 64 KiB.
    #[must_use]
    pub fn repeat(self, bytes: u64) -> Self {
        self.step(Step::Repeat(bytes))
    }

    /// Reads and sends nothing for this time.
    #[must_use]
    pub fn pause(self, time: impl Into<Delay>) -> Self {
        self.step(Step::Pause(time.into()))
    }

    /// Sends these bytes, 1 to 1024.
    #[must_use]
    pub fn send(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Send(payload(bytes.as_ref())))
    }

    /// Receives exactly these bytes, 1 to 1024.
    #[must_use]
    pub fn expect(self, bytes: impl AsRef<[u8]>) -> Self {
        self.step(Step::Expect(payload(bytes.as_ref())))
    }

    /// From here on, sends at most so many bytes per second.
    #[must_use]
    pub fn rate(self, bytes_per_second: u64) -> Self {
        self.step(Step::Rate(bytes_per_second))
    }

    /// From here on, sends pieces of at most `bytes` bytes and waits before each.
    #[must_use]
    pub fn chunk(self, bytes: u64, every: impl Into<Delay>) -> Self {
        self.step(Step::Chunk(bytes, every.into()))
    }

    /// Sends FIN and goes on receiving.
    #[must_use]
    pub fn fin(self) -> Self {
        self.step(Step::Fin)
    }

    /// Receives and discards until the peer's FIN.
    #[must_use]
    pub fn wait_fin(self) -> Self {
        self.step(Step::WaitFin)
    }

    /// Never reads again.
    #[must_use]
    pub fn stop_reading(self) -> Self {
        self.step(Step::StopReading)
    }

    /// Closes the connection with FIN.
    #[must_use]
    pub fn close(self) -> Self {
        self.step(Step::Close)
    }

    /// Closes the connection with RST.
    #[must_use]
    pub fn reset(self) -> Self {
        self.step(Step::Reset)
    }

    /// Waits for bytes and closes without reading them, which sends RST.
    #[must_use]
    pub fn close_unread(self) -> Self {
        self.step(Step::CloseUnread)
    }
}

fn payload(bytes: &[u8]) -> Payload {
    let length = bytes.len();
    let fits = (1..=LONGEST_PAYLOAD).contains(&length);
    assert!(fits, "{length} bytes are out of range, 1 to {LONGEST_PAYLOAD}");
    Payload::of(bytes.to_vec())
}
