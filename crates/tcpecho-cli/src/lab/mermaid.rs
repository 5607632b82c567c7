//! A run as a Mermaid sequence diagram (mermaid.js.org/syntax/sequenceDiagram): GitHub and others draw it.

use std::io;

use tcpecho_lab::{
    Moment, Place, Side, What, program::words as how, run::Run, timeline::PacketMoment,
    timeline::Verdict as Fate,
};
use tcpecho_os::text::spaced;

use super::{
    calls::shown,
    ladder::change,
    report::{begun, words},
};

/// Writes a diagram for each run, with a comment that names it.
pub(super) fn mermaid(out: &mut impl io::Write, runs: &[Run]) -> io::Result<()> {
    for run in begun(runs) {
        let (name, family) = (run.text.name, run.family);
        // Mermaid takes this block for the title; a comment may stand anywhere after it.
        writeln!(out, "---\ntitle: \"{name} over {family}\"\n---\nsequenceDiagram")?;
        writeln!(out, "    %% {}", spaced(&words(&run.verdict)))?;
        writeln!(out, "    participant c as client\n    participant s as server")?;
        for moment in shown(run) {
            if let Some(line) = line(&moment) {
                writeln!(out, "    {line}")?;
            }
        }
    }
    Ok(())
}

fn line(moment: &Moment) -> Option<String> {
    let beside = |text: &str| {
        let place = match moment.place {
            Place::Host(Side::Client) => "left of c",
            Place::Host(Side::Server) => "right of s",
            Place::Wire | Place::Lab => "over c,s",
        };
        format!("Note {place}: {}", escaped(text))
    };
    Some(match &moment.what {
        What::Packet(packet) => arrow(packet),
        What::State { before, now, sampled, .. } => beside(&change(*before, *now, *sampled)),
        What::Input { line, .. } => beside(&format!("> {line}")),
        What::Output { line, .. } => beside(line),
        What::Call(call) => beside(&call.to_string()),
        What::Exit { exit, .. } => beside(&how(*exit)),
        What::ChildExit { child, exit, .. } => beside(&format!("child {child} {}", how(*exit))),
        What::Step(text) => beside(&format!("== {text}")),
        What::Claim { sentence, holds: true, .. } => beside(&format!("✓ {sentence}")),
        What::Claim { sentence, note, .. } => beside(&format!("✗ {sentence} ({note})")),
        What::Trouble(text) => beside(&format!("trouble: {text}")),
        What::Omitted { moments } => beside(&format!("… {moments} events were not kept")),
        _ => return None,
    })
}

/// An arrow that arrives, or one that ends in a cross.
fn arrow(packet: &PacketMoment) -> String {
    let head = if packet.verdict.has_arrived() { "->>" } else { "-x" };
    let (from, to) = if packet.from == Side::Client { ("c", "s") } else { ("s", "c") };
    let mut text = packet.line.clone();
    if packet.verdict != Fate::Delivered {
        text = format!("{text} [{}]", packet.verdict);
    }
    if !packet.note.is_empty() {
        text = format!("{text} ({})", packet.note);
    }
    format!("{from}{head}{to}: {}", escaped(&text))
}

/// Text after a colon extends to the end of the line, but a semicolon would end it and `#` begin an
/// entity; both are written as entities, as are angle brackets, which would be HTML, and the
/// percent signs of a comment.
fn escaped(text: &str) -> String {
    let text: String = spaced(text).chars().fold(String::new(), |mut escaped, letter| {
        match letter {
            '#' => escaped.push_str("#35;"),
            ';' => escaped.push_str("#59;"),
            ':' => escaped.push_str("#58;"),
            '<' => escaped.push_str("#60;"),
            '>' => escaped.push_str("#62;"),
            '%' => escaped.push_str("#37;"),
            letter => escaped.push(letter),
        }
        escaped
    });
    // A message must have some text.
    if text.trim().is_empty() { "#160;".into() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_a_line_or_begins_an_entity() {
        let shown = escaped("a; b: #1 <i> 50%%\n--x");
        assert_eq!(shown, "a#59; b#58; #35;1 #60;i#62; 50#37;#37; --x");
        assert_eq!(escaped(" \n"), "#160;");
    }

    #[test]
    fn moments_are_notes_beside_their_host() {
        let moment = |place, what| Moment { at: std::time::Duration::ZERO, place, what };
        let step = moment(Place::Lab, What::Step("it begins".into()));
        assert_eq!(line(&step).as_deref(), Some("Note over c,s: == it begins"));
        let said = What::Output {
            program: "p".into(),
            stream: tcpecho_lab::timeline::Stream::Out,
            line: "ok 192.0.2.1:7".into(),
        };
        let said = line(&moment(Place::Host(Side::Server), said));
        assert_eq!(said.as_deref(), Some("Note right of s: ok 192.0.2.1#58;7"));
    }
}
