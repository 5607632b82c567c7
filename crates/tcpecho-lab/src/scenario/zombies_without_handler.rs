//! Children that their parent does not wait for (UNP 5.7 to 5.9).

use crate::stage::PATIENCE;

scenario! { stage;
    name: "zombies-without-handler",
    group: Some(Group::Signals),
    title: "children exit, and their parent does not wait for them",
    source: "UNP 5.7, 5.8, 5.9, wait(2)",
    question: "What is left of a server's children when their connections have ended and \
               SIGCHLD is not handled?",
    book: &[
        (
            "SIGCHLD is ignored by default, but each child stays a zombie until its parent reads \
             its status.",
            &[Book("5.7"), Book("5.9")],
        ),
        (
            "Setting the action to SIG_IGN prevents zombies on some systems only, so a server \
             must catch the signal and wait.",
            &[Book("5.9")],
        ),
    ],
    kernel: &[
        (
            "By default the same: one zombie for each child.",
            &[Measured("the children read end of file, exit, and are five zombies")],
        ),
        (
            "SIG_IGN does prevent them, as POSIX has required since 2001. A blocking waitpid then \
             returns only when all children have exited, and fails with ECHILD.",
            &[
                Man("wait(2)"),
                Measured("the children are gone without having become zombies"),
                Measured("no child is left to wait for"),
            ],
        ),
    ];

    step "a server gives each of a client's five connections to a child and leaves SIGCHLD at its \
          default";
    let (client, server) = stage.forked(5)?;
    claim("the server has five children", server.program().children().len() == 5);
    claim_is("waitpid finds no child that has exited", &server.call("wait")?, "ok 0");

    step "the client exits, which ends its five connections";
    client.end()?;
    let ended = server.program().wait_for_zombies(5, PATIENCE);
    claim("the children read end of file, exit, and are five zombies", ended.is_ok());

    step "the server calls waitpid once";
    claim("waitpid returns the PID of a child at once", server.must("wait")? != "ok 0");
    claim("the reaped zombie is gone, and four are left", server.program().children().len() == 4);

    step "the server calls waitpid until no child is left";
    let fetched = (0..4).filter(|_| server.call("wait").is_ok_and(|said| said != "ok 0")).count();
    claim("waitpid reaps the other four", fetched == 4 && server.program().children().is_empty());
    claim_is("the server has no children", &server.call("wait")?, "ECHILD");
    server.end()?;

    step "another server has five children and sets SIGCHLD to SIG_IGN";
    let (client, server) = stage.forked(5)?;
    server.must("handler SIGCHLD ignore")?;
    claim_is("the children are running", &server.call("wait")?, "ok 0");

    step "its client exits, too";
    client.end()?;
    let gone = server.program().wait_for_zombies(0, PATIENCE);
    claim("the children are gone without having become zombies", gone.is_ok());
    claim_is("no child is left to wait for", &server.call("wait")?, "ECHILD");
}
