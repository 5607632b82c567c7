//! The rows of the gallery: an echo, then every preset with the parameter of its example.

use tcpecho::{Ending, Fault, PRESETS};

/// A row: what listens on one port.
pub(in crate::serve) struct Row {
    /// The name of the preset, or `echo`.
    pub(in crate::serve) name: &'static str,
    /// The preset with its parameter, as `--fault` takes it; none for the echo.
    pub(in crate::serve) fault: Option<&'static str>,
    /// Its steps; none for a fault of the listener.
    pub(in crate::serve) script: Option<String>,
    pub(in crate::serve) does: &'static str,
    /// How the connection ends for a client that sends a message, half-closes and waits for the echo for a limited time.
    pub(in crate::serve) ending: Ending,
    /// What a correct client sees and does, as a sentence without its subject and without a full stop.
    pub(in crate::serve) expect: &'static str,
    /// What is on the wire.
    pub(in crate::serve) wire: &'static str,
}

/// The name of the row without a fault.
const ECHO: &str = "echo";

/// What a correct client sees and does, and what is on the wire, for the echo and for each preset.
#[rustfmt::skip]
const EXPECTED: &[(&str, &str, &str)] = &[
    (ECHO, "gets back every byte that it sent, then FIN, and succeeds",
        "the data, its copy, FIN in both directions"),
    ("reset-after", "reports ECONNRESET, and does not take the bytes before it for the whole answer",
        "N bytes of the echo, then RST"),
    ("close-after", "reports that the answer is truncated; a write after that fails (ECONNRESET or EPIPE)",
        "N bytes of the echo, then FIN; RST for each segment that comes later"),
    ("truncate", "reports that the answer is truncated: FIN came before its end",
        "N bytes of the echo, then FIN; later data is acknowledged, until the client's FIN"),
    ("stall-after", "stops waiting for the rest at its own deadline, and reports a timeout",
        "N bytes of the echo, then only acknowledgements, and a window of 0 when the receive buffer is full"),
    ("zero-window", "stops sending or waiting at its own deadline, and reports a timeout",
        "only acknowledgements; with enough data, a window of 0 and the client's window probes"),
    ("half-close", "reports that the server closed before any answer",
        "FIN right after the handshake; data is acknowledged, until the client's FIN"),
    ("reset-on-accept", "reports ECONNRESET, whichever call fails (ENOTCONN if it is shutdown)",
        "RST right after the handshake"),
    ("close-on-accept", "reports that the server closed before any answer (end of file, ECONNRESET or EPIPE)",
        "FIN right after the handshake; RST for each segment with data"),
    ("close-unread", "reports ECONNRESET, and does not know whether its message was read",
        "RST in answer to the first data"),
    ("reset-at-end", "reports ECONNRESET at the end, although every byte has come back",
        "the whole echo, then RST after the client's FIN"),
    ("delay", "waits longer than the delay, gets back every byte, and succeeds",
        "nothing but acknowledgements for the delay, then the echo"),
    ("jitter", "gets back every byte, after times that differ, and succeeds",
        "the echo of each segment after a time of its own"),
    ("drip", "reads again until every byte has come back, and succeeds: a read can return one byte",
        "one small segment after each pause"),
    ("rate", "keeps reading while bytes come, gets back every byte, and succeeds",
        "the echo in pieces; with much data, a window that closes and opens again"),
    ("slow-close", "has every byte long before FIN, and succeeds",
        "the echo at once, and the server's FIN long after the client's"),
    ("corrupt", "compares the bytes, and reports that one differs from what it sent",
        "the echo with one bit changed; the TCP checksum is right"),
    ("drop", "compares the bytes, and reports that the first ones are missing",
        "the echo without its first N bytes"),
    ("repeat", "compares the bytes, and reports that some came twice",
        "the first N bytes twice, as new data: it is not a retransmission"),
    ("banner", "reads the line that the server sends first, or reports bytes that it did not send",
        "the text right after the handshake, then the echo"),
    ("never-accept", "connects, stops waiting at its own deadline, and reports a timeout",
        "a handshake, and acknowledgements for the data"),
    ("accept-delay", "connects at once, waits up to twice the delay, gets back every byte, and succeeds",
        "a handshake, acknowledgements for the data, and the echo after the delay"),
    ("backlog-full", "stops connecting at its own deadline, and reports a connect timeout (ETIMEDOUT)",
        "SYN and its retransmissions, which nobody answers"),
    ("refuse", "reports ECONNREFUSED at once",
        "RST in answer to SYN"),
];

impl Row {
    /// Returns all rows, in the order of their ports.
    pub(in crate::serve) fn all() -> Vec<Row> {
        let echo = Row {
            name: ECHO,
            fault: None,
            script: None,
            does: "echoes everything",
            ending: Ending::Finished,
            expect: expected(ECHO).0,
            wire: expected(ECHO).1,
        };
        let presets = PRESETS.iter().map(|preset| Row {
            name: preset.name,
            fault: Some(preset.example),
            script: preset.script().map(|script| {
                let steps: Vec<String> = script.steps().iter().map(ToString::to_string).collect();
                steps.join("; ")
            }),
            does: preset.sentence,
            ending: preset.ending,
            expect: expected(preset.name).0,
            wire: expected(preset.name).1,
        });
        std::iter::once(echo).chain(presets).collect()
    }

    /// Returns the fault as the server takes it.
    pub(in crate::serve) fn parsed(&self) -> Option<Fault> {
        // The example of a preset is a fault: a test parses all of them.
        self.fault.and_then(|fault| fault.parse().ok())
    }

    /// Returns the name with its parameter.
    pub(in crate::serve) fn label(&self) -> &'static str {
        self.fault.unwrap_or(self.name)
    }
}

fn expected(name: &str) -> (&'static str, &'static str) {
    EXPECTED.iter().find(|row| row.0 == name).map_or(("", ""), |row| (row.1, row.2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_a_row_that_can_be_armed_and_says_what_a_client_does() {
        let rows = Row::all();
        assert_eq!(rows.len(), PRESETS.len() + 1);
        let named: Vec<&str> = rows.iter().map(|row| row.name).collect();
        let expected: Vec<&str> = EXPECTED.iter().map(|row| row.0).collect();
        assert_eq!(named, expected);
        for row in &rows[1..] {
            assert!(row.parsed().is_some() && !row.expect.is_empty(), "{}", row.name);
            let is_of_connections = matches!(row.parsed(), Some(Fault::Connections(_)));
            assert_eq!(row.script.is_some(), is_of_connections, "{}", row.name);
        }
        assert!(rows[0].parsed().is_none());
    }
}
