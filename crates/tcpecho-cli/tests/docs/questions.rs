//! Questions of newcomers: each is answered within three commands, of which the first is `tcpecho --help`, and each command
//! prints the next one. docs/questions.md is made of this table.

use std::{fmt::Write, process::Command};

/// A question, the commands after `tcpecho --help`, and what the last one prints as the answer.
struct Question {
    asked: &'static str,
    commands: &'static [&'static str],
    answer: &'static str,
}

const QUESTIONS: &[Question] = &[
    Question {
        asked: "How do I test my client?",
        commands: &["tcpecho lab test --help"],
        answer: "tcpecho lab test --client 'nc -N {host} {port}' judge a client",
    },
    Question {
        asked: "How do I test my server?",
        commands: &["tcpecho lab test --help"],
        answer: "tcpecho lab test --server './server {port}' half-close judge a server in one trial",
    },
    Question {
        asked: "How do I measure my server?",
        commands: &["tcpecho bench --help"],
        answer: "tcpecho bench -c 300 -d 10s example.net 7 300 connections for ten seconds",
    },
    Question {
        asked: "How do I compare two engines?",
        commands: &["tcpecho bench --help"],
        answer: "tcpecho bench --engines epoll,uring compare two engines of `serve`, round by round; the last lines say \
                 which one is faster",
    },
    Question {
        asked: "What does \"closed-early\" mean?",
        commands: &["tcpecho connect --help"],
        answer: "closed-early: the peer sent FIN before the exchange was complete: it closed, exited or half-closed",
    },
    Question {
        asked: "Why was my connection reset?",
        commands: &["tcpecho connect --help"],
        answer: "reset: the peer sent RST: its process is gone, its host rebooted, or it closed with unread data",
    },
    Question {
        asked: "How do I see packets?",
        commands: &["tcpecho lab run --help"],
        answer: "tcpecho lab run half-close --pcapng half-close.pcapng also write a capture for Wireshark",
    },
    Question {
        asked: "How do I test a port through a firewall?",
        commands: &["tcpecho ping --help"],
        answer: "tcpecho ping --connect -c 3 example.net 443 test a port through a firewall: the handshake only, with a \
                 server of any kind. \"refused\" is an RST, and \"connect-timeout\" is a dropped SYN",
    },
    Question {
        asked: "How do I run the server at start (systemd)?",
        commands: &["tcpecho serve --help"],
        answer: "Start it, also when the host starts: systemctl enable --now tcpecho",
    },
    Question {
        asked: "How do I teach with it?",
        commands: &["tcpecho lab --help", "tcpecho lab learn --help"],
        answer: "Interactive quiz: predict each step, then watch it happen",
    },
    Question {
        asked: "What is an exit status of 3?",
        commands: &[],
        answer: "3 could not connect",
    },
];

/// What a command prints, as one line of words.
fn printed(line: &str) -> String {
    let mut words = line.split(' ');
    assert_eq!(words.next(), Some("tcpecho"), "{line}");
    let output = Command::new(env!("CARGO_BIN_EXE_tcpecho")).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn every_question_leads_to_its_answer_in_three_steps() {
    for Question { asked, commands, answer } in QUESTIONS {
        assert!(commands.len() < 3, "{asked}");
        let mut seen = printed("tcpecho --help");
        assert!(seen.contains(asked), "{asked}: {seen}");
        for command in *commands {
            // The command itself, or an example of it.
            let next = command.trim_end_matches(" --help");
            assert!(seen.contains(next), "{asked}: {next:?} is not in {seen}");
            seen = printed(command);
        }
        assert!(seen.contains(answer), "{asked}: {answer:?} is not in {seen}");
    }
}

/// docs/questions.md; run this test with TCPECHO_WRITE_DOCS=1 to write it.
#[test]
fn docs_the_page_of_questions_is_the_table() {
    let mut page = String::from(
        "# Questions and answers\n\n\
         Each question is in `tcpecho --help`, with the command that has the answer. This page is generated from the table of a\n\
         test (`TCPECHO_WRITE_DOCS=1 cargo test -p tcpecho-cli --test docs`), which runs the commands.\n\n\
         | question | commands | answer |\n|---|---|---|\n",
    );
    for Question { asked, commands, answer } in QUESTIONS {
        let commands: Vec<String> = ["tcpecho --help"]
            .iter()
            .chain(*commands)
            .map(|command| format!("`{command}`"))
            .collect();
        let _ = writeln!(page, "| {asked} | {} | {answer} |", commands.join(", then "));
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/questions.md");
    if std::env::var_os("TCPECHO_WRITE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(written == page, "docs/questions.md is not what the table says");
}
