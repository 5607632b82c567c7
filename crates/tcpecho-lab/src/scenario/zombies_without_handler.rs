//! Children that their parent does not wait for (UNP 5.7 to 5.9).

use super::Scenario;
use crate::stage::{PATIENCE, Played, Stage};
use crate::text::{Step, Text};

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "zombies-without-handler",
        title: "children exit, and their parent does not wait for them",
        source: "UNP 5.7, 5.8, 5.9",
        question: "What is left of a server's children when their connections have ended and \
                   SIGCHLD is not handled?",
        book: "SIGCHLD is ignored by default, but each child stays a zombie until its parent reads \
               its status. Setting the action to SIG_IGN prevents zombies on some systems only, so \
               a server must catch the signal and wait.",
        kernel: "By default the same: one zombie for each child. SIG_IGN does prevent them, as \
                 POSIX has required since 2001; then there is no child to wait for, and waitpid \
                 fails with ECHILD.",
        timers: &[],
        steps: &[
            Step {
                does: "a server gives each of a client's five connections to a child and leaves \
                       SIGCHLD at its default",
                claims: &[
                    "the server has five children",
                    "waitpid finds no child that has exited",
                ],
            },
            Step {
                does: "the client exits, which ends its five connections",
                claims: &[
                    "the children read end of file, exit, and are five zombies",
                ],
            },
            Step {
                does: "the server calls waitpid once",
                claims: &[
                    "it returns a child's number at once",
                    "that zombie is gone, and four are left",
                ],
            },
            Step {
                does: "the server calls waitpid until no child is left",
                claims: &[
                    "it reaps the other four",
                    "the server has no children",
                ],
            },
            Step {
                does: "another server has five children and sets SIGCHLD to SIG_IGN",
                claims: &[
                    "the children are running",
                ],
            },
            Step {
                does: "its client exits, too",
                claims: &[
                    "the children are gone without having become zombies",
                    "no child is left to wait for",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.step("a server gives each of a client's five connections to a child and leaves SIGCHLD at its default");
    let (client, server) = stage.forked(5)?;
    stage.claim("the server has five children", server.program().children().len() == 5);
    stage.claim_is("waitpid finds no child that has exited", &server.call("wait")?, "ok 0");

    stage.step("the client exits, which ends its five connections");
    client.end()?;
    let ended = server.program().wait_for_zombies(5, PATIENCE);
    stage.claim("the children read end of file, exit, and are five zombies", ended.is_ok());

    stage.step("the server calls waitpid once");
    stage.claim("it returns a child's number at once", server.must("wait")? != "ok 0");
    stage.claim("that zombie is gone, and four are left", server.program().children().len() == 4);

    stage.step("the server calls waitpid until no child is left");
    let fetched = (0..4).filter(|_| server.call("wait").is_ok_and(|said| said != "ok 0")).count();
    stage.claim("it reaps the other four", fetched == 4 && server.program().children().is_empty());
    stage.claim_is("the server has no children", &server.call("wait")?, "ECHILD");
    server.end()?;

    stage.step("another server has five children and sets SIGCHLD to SIG_IGN");
    let (client, server) = stage.forked(5)?;
    server.must("handler SIGCHLD ignore")?;
    stage.claim_is("the children are running", &server.call("wait")?, "ok 0");

    stage.step("its client exits, too");
    client.end()?;
    let gone = server.program().wait_for_zombies(0, PATIENCE);
    stage.claim("the children are gone without having become zombies", gone.is_ok());
    stage.claim_is("no child is left to wait for", &server.call("wait")?, "ECHILD");
    Ok(())
}
