//! Children that nobody waits for (UNP 5.7 to 5.9).

use super::Scenario;
use crate::stage::{PATIENCE, Played, Stage};
use crate::text::{Step, Text};

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "zombies-without-handler",
        title: "children end and nobody waits for them",
        source: "UNP 5.7, 5.8, 5.9",
        question: "What is left of a server's children when their connections are over and SIGCHLD \
                   is not handled?",
        book: "SIGCHLD is ignored by default, but each child stays a zombie until its parent \
               fetches its status; ignoring the signal by SIG_IGN prevents zombies on some systems \
               only, so a server has to catch it and wait.",
        kernel: "By default the same: a zombie for each child. SIG_IGN does prevent them, as POSIX \
                 has asked since 2001; there is nothing to wait for then, and waitpid says ECHILD.",
        timers: &[],
        steps: &[
            Step {
                does: "a server gives each of a client's five connections to a child, and leaves \
                       SIGCHLD alone",
                claims: &[
                    "it has five children",
                    "waitpid finds none that has ended",
                ],
            },
            Step {
                does: "the client ends, and with it its five connections",
                claims: &[
                    "the children read the end of their streams, exit, and are five zombies",
                ],
            },
            Step {
                does: "the server calls waitpid once",
                claims: &[
                    "it gets a child's number at once",
                    "that zombie is gone, and four are left",
                ],
            },
            Step {
                does: "it calls waitpid until there is nothing to wait for",
                claims: &[
                    "it gets the other four",
                    "now it has no children",
                ],
            },
            Step {
                does: "another server has five children, and ignores SIGCHLD by SIG_IGN",
                claims: &[
                    "they still run",
                ],
            },
            Step {
                does: "its client ends, too",
                claims: &[
                    "the children are gone without becoming zombies",
                    "there is nothing to wait for",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a server gives each of a client's five connections to a child, and leaves SIGCHLD alone");
    let (client, server) = stage.forked(5)?;
    stage.claim("it has five children", server.program().children().len() == 5);
    stage.claim_is("waitpid finds none that has ended", &server.call("wait")?, "ok 0");

    stage.step("the client ends, and with it its five connections");
    client.end()?;
    let ended = server.program().wait_for_zombies(5, PATIENCE);
    stage.claim("the children read the end of their streams, exit, and are five zombies", ended.is_ok());

    stage.step("the server calls waitpid once");
    stage.claim("it gets a child's number at once", server.must("wait")? != "ok 0");
    stage.claim("that zombie is gone, and four are left", server.program().children().len() == 4);

    stage.step("it calls waitpid until there is nothing to wait for");
    let fetched = (0..4).filter(|_| server.call("wait").is_ok_and(|said| said != "ok 0")).count();
    stage.claim("it gets the other four", fetched == 4 && server.program().children().is_empty());
    stage.claim_is("now it has no children", &server.call("wait")?, "ECHILD");
    server.end()?;

    stage.step("another server has five children, and ignores SIGCHLD by SIG_IGN");
    let (client, server) = stage.forked(5)?;
    server.must("handler SIGCHLD ignore")?;
    stage.claim_is("they still run", &server.call("wait")?, "ok 0");

    stage.step("its client ends, too");
    client.end()?;
    let gone = server.program().wait_for_zombies(0, PATIENCE);
    stage.claim("the children are gone without becoming zombies", gone.is_ok());
    stage.claim_is("there is nothing to wait for", &server.call("wait")?, "ECHILD");
    Ok(())
}
