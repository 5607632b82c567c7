//! A line waits in stdio's buffer, and poll sees only the kernel's (UNP 6.5).

use crate::impairment::Matcher;
use crate::stage::PATIENCE;

scenario! { stage;
    name: "stdio-and-poll",
    group: Some(Group::Data),
    title: "a line waits in stdio's buffer, and poll does not see it",
    source: "UNP 6.5, 14.8",
    question: "A program waits with select or poll and reads lines with fgets. Two lines arrive \
               together. Why does it answer only one?",
    book: &[
        (
            "fgets reads all that is there into its own buffer and returns one line. select and \
             poll know only the kernel's buffer, which is empty, so the second line waits until \
             more data comes.",
            &[Book("6.5")],
        ),
    ],
    kernel: &[
        (
            "The same. The second line is returned by fgets without any packet.",
            &[
                Measured("poll reports nothing, although a line has not been answered"),
                Measured("fgets returns the second line at once"),
                Measured("the second line was in the buffer: one segment came"),
            ],
        ),
    ];

    step "the client sends two lines in one segment";
    let (client, server) = stage.connected()?;
    client.must("send 128 lines")?;
    stage.two().wire.wait_delivered(&Matcher::data().from_client(), 0, PATIENCE)?;
    claim_is("poll reports POLLIN", &server.call("poll 0 in")?, "ok 0x1");

    step "the server reads one line with fgets and polls again";
    claim("fgets returns the first line", server.call("gets")?.starts_with("ok 64 "));
    claim_is("poll reports nothing, although a line has not been answered", &server.call("poll 100 in")?, "ok 0x0");

    step "the server calls fgets without asking poll";
    claim("fgets returns the second line at once", server.call("gets")?.starts_with("ok 64 "));
    claim("the second line was in the buffer: one segment came", stage.count(&Matcher::data().from_client()) == 1);
}
