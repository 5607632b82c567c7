//! The table of pages.

use super::{
    Body::{Examples, File, Rows, Table, Text},
    Page, Section,
};
use crate::exit;

/// A section that `-h` has, too.
const fn short(title: &'static str, body: super::Body) -> Section {
    Section { title, is_short: true, body }
}

/// A section of `--help` and of the man page only.
const fn long(title: &'static str, body: super::Body) -> Section {
    Section { title, is_short: false, body }
}

const DURATIONS: Section = short(
    "Durations",
    Text(
        "A number with a unit (us, ms, s, m or h), such as 500ms, 2s or 1m30s; a number without a unit is seconds.",
    ),
);

const TERMINAL: Section = long(
    "Environment",
    Rows(&[
        ("NO_COLOR", "switches colours off"),
        (
            "TERM",
            "if it is not set, empty or \"dumb\", there are no colours, no progress line and no --plot; with \"dumb\", text \
             on a terminal is ASCII",
        ),
        ("LC_ALL, LC_CTYPE, LANG", "if the first that is set does not name UTF-8, text is ASCII"),
    ]),
);

pub(super) static PAGES: &[Page] = &[
    Page {
        command: "",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    ("tcpecho connect", "start a server on loopback, and send it what is typed"),
                    (
                        "tcpecho connect example.net 7",
                        "talk to an echo server; a failure is explained",
                    ),
                    (
                        "tcpecho lab run server-process-killed",
                        "watch what TCP does when a server dies",
                    ),
                ]),
            ),
            long(
                "Questions",
                Examples(&[
                    (
                        "tcpecho lab test --help",
                        "How do I test my client? How do I test my server?",
                    ),
                    (
                        "tcpecho bench --help",
                        "How do I measure my server? How do I compare two engines?",
                    ),
                    (
                        "tcpecho connect --help",
                        "What does \"closed-early\" mean? Why was my connection reset?",
                    ),
                    ("tcpecho lab run --help", "How do I see packets?"),
                    ("tcpecho ping --help", "How do I test a port through a firewall?"),
                    ("tcpecho serve --help", "How do I run the server at start (systemd)?"),
                    ("tcpecho lab --help", "How do I teach with it?"),
                    ("tcpecho --help", "What is an exit status of 3? (below)"),
                ]),
            ),
            long(
                "Exit status",
                Rows(&[
                    ("0", "it worked"),
                    (
                        "1",
                        "it worked, and the result is bad: wrong bytes, no answer, a claim that does not hold",
                    ),
                    (
                        "2",
                        "usage error, or not possible here: address in use, no permission, output that failed",
                    ),
                    ("3", "could not connect"),
                    ("4", "the connection broke"),
                    ("77", "lab: this host cannot play it"),
                    ("129, 130, 143", "ended by SIGHUP, SIGINT, SIGTERM"),
                ]),
            ),
        ],
    },
    Page {
        command: "serve",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    ("tcpecho serve", "listen on port 9877 of every address"),
                    ("tcpecho serve localhost 7012", "listen on port 7012 of loopback only"),
                    (
                        "tcpecho serve -l 127.0.0.1:0 --log json",
                        "take a free port of loopback; log in JSON",
                    ),
                    ("tcpecho serve --engine list", "show the engines, and whether they work here"),
                    (
                        "tcpecho serve --fault 'echo 100; pause 2s; reset'",
                        "fail on every connection, to test a client",
                    ),
                    (
                        "tcpecho serve --fault drip=1/100ms --fault-when every=3",
                        "fail on every third connection",
                    ),
                    (
                        "tcpecho serve --gallery -l 127.0.0.1:7000",
                        "serve every fault, each on a port of its own; http://127.0.0.1:7000/ explains them",
                    ),
                    (
                        "tcpecho serve --control 127.0.0.1:7001",
                        "set faults and reset sessions over HTTP while it runs",
                    ),
                ]),
            ),
            DURATIONS,
            short(
                "Signals",
                Rows(&[
                    (
                        "SIGTERM, SIGINT, SIGHUP",
                        "drain: the listeners close, received bytes are echoed, idle clients get FIN. A second signal, \
                         or the end of --drain-timeout, closes the remaining connections.",
                    ),
                    ("SIGUSR1", "write the counters to stderr"),
                ]),
            ),
            long(
                "systemd unit, /etc/systemd/system/tcpecho.service",
                File(&[
                    "[Unit]",
                    "Description=TCP echo server",
                    "",
                    "[Service]",
                    "ExecStart=/usr/local/bin/tcpecho serve 7012",
                    "# A user without privileges",
                    "DynamicUser=yes",
                    "# For a port below 1024",
                    "AmbientCapabilities=CAP_NET_BIND_SERVICE",
                    "# More than --drain-timeout",
                    "TimeoutStopSec=15",
                    "# Each connection is a descriptor",
                    "LimitNOFILE=65536",
                    "",
                    "[Install]",
                    "WantedBy=multi-user.target",
                ]),
            ),
            long(
                "Start it, also when the host starts",
                Text(
                    "systemctl enable --now tcpecho; `systemctl stop tcpecho` sends SIGTERM, and the server drains.",
                ),
            ),
            short(
                "Exit status",
                Rows(&[
                    ("0", "ended by a signal"),
                    ("2", "usage error, address in use, no permission, or the listener failed"),
                ]),
            ),
        ],
    },
    Page {
        command: "connect",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    (
                        "tcpecho connect 192.0.2.1 7 -v",
                        "show the handshake, and the kernel's figures at the end",
                    ),
                    (
                        "tcpecho connect [2001:db8::1]:7 < file",
                        "send a file, and check that it comes back",
                    ),
                    (
                        "tcpecho connect server.example 7 --calls",
                        "show each call and TCP state until the connection breaks; the last message says why",
                    ),
                    (
                        "tcpecho connect --json server.example",
                        "write what happened as one JSON object to stderr",
                    ),
                ]),
            ),
            DURATIONS,
            short(
                "Exit status",
                Rows(&[
                    ("0", "every byte came back, or the reader of stdout closed the pipe"),
                    ("1", "something else came back"),
                    ("2", "usage error, or not possible here"),
                    ("3", "could not connect"),
                    ("4", "the connection broke"),
                    ("129, 130, 143", "ended by SIGHUP, SIGINT, SIGTERM"),
                ]),
            ),
            long("Exit status with --exit-detail", Table(exit::details)),
            long(
                "Notes",
                Text(
                    "A server's idle limit, connection limit and shutdown are closed-early or reset here: only its log \
                     tells them apart. What breaks an established connection is exit status 4, whatever its word.",
                ),
            ),
            TERMINAL,
        ],
    },
    Page {
        command: "ping",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    (
                        "tcpecho ping example.net 7",
                        "one probe a second over one connection, until Ctrl-C",
                    ),
                    ("tcpecho ping -c 10 --json 192.0.2.1 7", "ten probes; one JSON object"),
                    (
                        "tcpecho ping -c 100 -i 0.1 --fail-if 'loss>1%' --fail-if 'p99>5ms' example.net 7",
                        "exit status 1 if more than 1 % is lost, or the 99th percentile of the round trip is over 5 ms",
                    ),
                    ("tcpecho ping --plot a.example b.example", "draw several targets"),
                    (
                        "tcpecho ping --connect -c 3 example.net 443",
                        "test a port through a firewall: the handshake only, with a server of any kind. \"refused\" is an RST, \
                         and \"connect-timeout\" is a dropped SYN",
                    ),
                    (
                        "tcpecho ping -c 60 --html ping.html example.net 7",
                        "a minute as a page: times over the run, and their histogram",
                    ),
                ]),
            ),
            DURATIONS,
            short(
                "Signals",
                Rows(&[
                    ("SIGQUIT (Ctrl-\\)", "print a summary and continue"),
                    (
                        "SIGINT (Ctrl-C)",
                        "print the summary and end; the exit status is that of the result: 0, 1 or 3",
                    ),
                ]),
            ),
            short(
                "Exit status",
                Rows(&[
                    (
                        "0",
                        "every target answered at least once (with -c and -w: COUNT times), and nothing came back \
                         corrupted, doubled or foreign",
                    ),
                    (
                        "1",
                        "a target did not answer, such bytes came back, a condition of --fail-if holds, or a sweep found a limit",
                    ),
                    ("2", "usage error, or not possible here"),
                    ("3", "a name has no address"),
                    ("129, 143", "ended by SIGHUP, SIGTERM"),
                    (
                        "130",
                        "SIGINT ended a sweep before it was complete; it reports what it has proven",
                    ),
                ]),
            ),
            TERMINAL,
        ],
    },
    Page {
        command: "bench",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    ("tcpecho bench", "measure this program's own server on loopback"),
                    (
                        "tcpecho bench -c 300 -d 10s example.net 7",
                        "300 connections for ten seconds",
                    ),
                    (
                        "tcpecho bench --rate 10k --fail-if 'p99>2ms' example.net 7",
                        "10,000 requests a second on a schedule; exit status 1 if the 99th percentile is over 2 ms",
                    ),
                    (
                        "tcpecho bench --engines epoll,uring",
                        "compare two engines of `serve`, round by round; the last lines say which one is faster",
                    ),
                ]),
            ),
            DURATIONS,
            short(
                "Sizes and rates",
                Text("Sizes: 64, 16k (1024), 100kB (1000), 1M. Rates: 500, 10k (1000), 1.5M."),
            ),
            short(
                "Conditions of --fail-if",
                Text(
                    "A figure, < or >, and a limit. Figures: p50, p90, p99, p99.9, p99.99, max, mean, throughput, errors, \
                     unanswered. Examples: 'p99>2ms', 'errors>0', 'throughput<10k'; against --baseline 'p99.9>+10%', \
                     'throughput<-5%'.",
                ),
            ),
            short(
                "Exit status",
                Rows(&[
                    ("0", "measured"),
                    ("1", "a byte was wrong, or --fail-if held"),
                    (
                        "2",
                        "usage error, not possible here, or a file beside the result could not be written",
                    ),
                    ("3", "could not connect"),
                    ("4", "connections broke, or nothing was answered"),
                    ("129, 130, 143", "ended by SIGHUP, SIGINT, SIGTERM, with the results so far"),
                ]),
            ),
            TERMINAL,
        ],
    },
    Page {
        command: "bench report",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    ("tcpecho bench report a.json b.json", "one table of two runs"),
                    ("tcpecho bench report --plot a.json", "draw the latencies"),
                ]),
            ),
            short(
                "Exit status",
                Rows(&[
                    ("0", "merged"),
                    ("1", "a byte was wrong in one of the results"),
                    ("2", "usage error, or a file that is neither a result nor an HDR log"),
                ]),
            ),
        ],
    },
    Page {
        command: "lab",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    ("tcpecho lab list", "what there is"),
                    ("tcpecho lab run half-close", "play a scenario, packet by packet"),
                    (
                        "tcpecho lab test --client 'nc -N {host} {port}'",
                        "judge a client under every condition",
                    ),
                    (
                        "tcpecho lab learn half-close",
                        "teach: questions about a scenario, then the scenario",
                    ),
                    (
                        "tcpecho lab site public",
                        "teach a class: every scenario as a web page, with the questions",
                    ),
                ]),
            ),
            LAB_STATUS,
        ],
    },
    Page {
        command: "lab list",
        sections: &[short(
            "Examples",
            Examples(&[
                ("tcpecho lab list", "all scenarios, a line each"),
                ("tcpecho lab list 'server-*'", "those whose names begin with server-"),
                ("tcpecho lab list queues", "those of a group"),
            ]),
        )],
    },
    Page {
        command: "lab explain",
        sections: &[short(
            "Examples",
            Examples(&[
                ("tcpecho lab explain half-close", "what the book says, and what this kernel does"),
                ("tcpecho lab explain 'segment-*' | less", "several, page by page"),
                ("tcpecho lab explain all --format markdown > lab.md", "all, as Markdown"),
            ]),
        )],
    },
    Page {
        command: "lab run",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    ("tcpecho lab run syn-dropped --family both", "over IPv4 and IPv6"),
                    (
                        "tcpecho lab run half-close --pcapng half-close.pcapng",
                        "also write a capture for Wireshark",
                    ),
                    (
                        "tcpecho lab run all --format junit > lab.xml",
                        "check all claims on this kernel",
                    ),
                    (
                        "tcpecho lab run half-close --client 'nc -N {host} {port}' --server './server {port}'",
                        "your programs instead of the lab's: a client, a server, or both",
                    ),
                ]),
            ),
            LAB_STATUS,
        ],
    },
    Page {
        command: "lab learn",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    ("tcpecho lab learn", "all scenarios, as a course"),
                    ("tcpecho lab learn --from half-close", "go on with the course there"),
                    (
                        "tcpecho lab learn half-close",
                        "questions about one scenario, and what happened",
                    ),
                ]),
            ),
            short(
                "Answers",
                Text(
                    "A number, or the first letters of an answer; Enter at [Enter] shows the next step. q, Ctrl-D and \
                     Ctrl-C leave the course, and the last line is the command that goes on with it. Of one \
                     scenario, q and Ctrl-D stop the questions and show the rest.",
                ),
            ),
            long(
                "Exit status",
                Rows(&[
                    ("0", "the questions were answered, or q or the end of the input ended them"),
                    ("1", "a claim of a scenario did not hold"),
                    (
                        "2",
                        "usage error, stdin or stdout failed, or a scenario could not be played to its end",
                    ),
                    ("77", "this host cannot play it; the message gives the reason"),
                    ("129, 130, 143", "ended by SIGHUP, SIGINT (Ctrl-C), SIGTERM"),
                ]),
            ),
            TERMINAL,
        ],
    },
    Page {
        command: "lab shell",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    (
                        "tcpecho lab shell",
                        "two hosts and a wire, at a prompt; `help` lists the commands",
                    ),
                    ("tcpecho lab shell < script", "run a script, which ends at its first error"),
                ]),
            ),
            long("Limits", Table(crate::lab::shell_limits)),
            long(
                "Keys",
                Rows(&[
                    ("Tab", "complete a command, a packet, a program, a host, a state or a port"),
                    ("Tab Tab", "list what the word may become"),
                    ("Up, Down", "the lines before"),
                    ("Ctrl-C", "discard the line, or end a command that waits"),
                    ("Ctrl-D", "on an empty line: end the shell"),
                    ("Ctrl-Z", "suspend the shell; `fg` continues it"),
                ]),
            ),
            long(
                "Exit status",
                Rows(&[
                    ("0", "the input ended, or quit"),
                    ("1", "an expect or wait of a script was not met"),
                    (
                        "2",
                        "usage error, or a command of a script was not understood or cannot be carried out",
                    ),
                    ("77", "the lab cannot be used on this host"),
                    ("129, 130, 143", "ended by SIGHUP, SIGINT, SIGTERM"),
                ]),
            ),
        ],
    },
    Page {
        command: "lab test",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    ("tcpecho lab test --client 'nc -N {host} {port}'", "judge a client"),
                    (
                        "tcpecho lab test --server './server {port}' half-close",
                        "judge a server in one trial",
                    ),
                    (
                        "tcpecho lab test --gallery --client 'nc -N {host} {port}'",
                        "judge a client by every fault of serve --fault, without root",
                    ),
                ]),
            ),
            long(
                "Verdicts: right, or the most serious fault",
                Rows(&[
                    ("late", "noticed an event, or echoed a line, only after more input"),
                    ("zombies", "left zombies: did not wait for its children"),
                    ("leaked", "leaked descriptors of closed connections"),
                    ("close-wait", "kept sockets in CLOSE_WAIT"),
                    ("grew", "its memory grew with what the peer sent or did"),
                    ("spins", "used a whole processor while it had nothing to do"),
                    ("in-use", "could not be restarted at once on its port"),
                    ("stalls", "let one client keep it from serving the others"),
                    ("quit", "gave up although nothing was wrong"),
                    ("silent", "exited with status 0 although something was wrong"),
                    ("hung", "did not exit, or did not answer, until the lab ended it"),
                    ("lost", "bytes of the echo are missing"),
                    ("invented", "wrote bytes that were not sent"),
                    ("unconnected", "did not connect: the server had no connection"),
                    ("killed", "was killed by SIGPIPE"),
                    ("died", "was killed by another signal, or is a server and exited"),
                    ("broken", "the trial could not run to its end with this program"),
                    ("interrupted", "a signal ended lab test during this trial"),
                ]),
            ),
            long(
                "File of --expect",
                Text(
                    "One line NAME VERDICT for each trial whose known verdict is not 'right', such as \
                     'server-process-killed late'. A # starts a comment.",
                ),
            ),
            long(
                "JSON",
                Text(
                    "role, command, right, of, seconds, and trials, a list of objects with name, family ('IPv4', \
                     'IPv6'), verdict, expected, faults (all of them), exit_status, signal, ended_by_lab, noticed_ms \
                     (milliseconds from the decisive event to its end or its first words on stderr; null if never), \
                     connections (that a client asked for), lost_bytes, leaked_descriptors, zombies, close_wait, \
                     memory_growth_bytes, said (its first line on stderr after the decisive event), last_output, \
                     last_error, notes, failed (the claims that did not hold) and duration_ms. With --gallery, gallery is true.",
                ),
            ),
            short(
                "Exit status",
                Rows(&[
                    ("0", "every verdict is as expected"),
                    ("1", "a verdict is not as expected"),
                    ("2", "usage error, or the program cannot be started"),
                    ("77", "the lab cannot be used on this host"),
                    (
                        "129, 130, 143",
                        "ended by SIGHUP, SIGINT, SIGTERM; the table has the trials so far",
                    ),
                ]),
            ),
        ],
    },
    Page {
        command: "lab site",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    (
                        "tcpecho lab site public",
                        "every scenario as a page, with an index and a quiz",
                    ),
                    (
                        "tcpecho lab test --client 'nc -N {host} {port}' --format json > nc.json; \
                         tcpecho lab site public --verdicts nc.json",
                        "also a table of verdicts on a program",
                    ),
                ]),
            ),
            LAB_STATUS,
        ],
    },
    Page {
        command: "lab doctor",
        sections: &[short(
            "Examples",
            Examples(&[("tcpecho lab doctor", "what the lab needs, and what is missing")]),
        )],
    },
    Page {
        command: "man",
        sections: &[short(
            "Examples",
            Examples(&[
                ("tcpecho man ping | man -l -", "read a page"),
                ("tcpecho man lab run > tcpecho-lab-run.1", "install a page"),
            ]),
        )],
    },
    Page {
        command: "completions",
        sections: &[short(
            "Examples",
            Examples(&[
                (
                    "tcpecho completions bash > /etc/bash_completion.d/tcpecho",
                    "for bash, all users",
                ),
                ("tcpecho completions zsh > ~/.zfunc/_tcpecho", "for zsh, with ~/.zfunc in fpath"),
                ("tcpecho completions fish > ~/.config/fish/completions/tcpecho.fish", "for fish"),
            ]),
        )],
    },
    Page {
        command: "schema",
        sections: &[
            short(
                "Examples",
                Examples(&[
                    ("tcpecho schema ping", "the JSON schema of ping --json"),
                    ("tcpecho schema", "list them"),
                ]),
            ),
            long(
                "Notes",
                Text(
                    "Schemas share their parts: a reference to connect.json is to what tcpecho schema connect prints. \
                 A validator finds them if each is saved as NAME.json in one folder.",
                ),
            ),
        ],
    },
];

const LAB_STATUS: Section = short(
    "Exit status",
    Rows(&[
        ("0", "every claim held"),
        ("1", "a claim did not hold"),
        ("2", "usage error, or output that could not be written"),
        ("77", "this host cannot play it; the message gives the reason"),
        ("129, 130, 143", "ended by SIGHUP, SIGINT, SIGTERM"),
    ]),
);
