//! Ports that not everybody may have (UNP 2.9).

use super::Scenario;
use crate::side::Side;
use crate::stage::{Actor, Broken, PORT, Played, Stage};
use crate::text::{Step, Text};

const START: &str = "net.ipv4.ip_unprivileged_port_start";

pub(super) static SCENARIO: Scenario = Scenario {
    text: Text {
        name: "bind-privileged",
        title: "a port below 1024",
        source: "UNP 2.9, 4.4",
        question: "Who may bind a well-known port, such as 7, the echo service's?",
        book: "Only a process with the privileges of the superuser may bind a port below 1024.",
        kernel: "A process with CAP_NET_BIND_SERVICE may; others get EACCES. Where the privileged \
                 ports end is a setting of the network namespace, \
                 net.ipv4.ip_unprivileged_port_start, for IPv6 as well.",
        timers: &[],
        steps: &[
            Step {
                does: "a program without the privilege wants the port of the echo service",
                claims: &[
                    "it is refused",
                ],
            },
            Step {
                does: "it tries the last port below 1024, and the first above",
                claims: &[
                    "1023 is refused as well",
                    "1024 is not",
                ],
            },
            Step {
                does: "a program with the privilege wants the port of the echo service",
                claims: &[
                    "it gets it",
                ],
            },
            Step {
                does: "while it has it, the other asks again",
                claims: &[
                    "the privilege is looked at first: permission denied, not in use",
                ],
            },
            Step {
                does: "the operator lets everybody have ports from 7 on",
                claims: &[
                    "the program without the privilege gets the port",
                    "and listens",
                    "the port before is still refused",
                ],
            },
        ],
    },
    play,
};

fn play(stage: &mut Stage) -> Played {
    stage.two().server.set_sysctl(START, "1024")?;
    stage.step("a program without the privilege wants the port of the echo service");
    let ordinary = stage.ordinary_actor(Side::Server)?;
    stage.claim_is("it is refused", &bind(stage, &ordinary, PORT)?, "EACCES");

    stage.step("it tries the last port below 1024, and the first above");
    stage.claim_is("1023 is refused as well", &bind(stage, &ordinary, 1023)?, "EACCES");
    stage.claim_is("1024 is not", &bind(stage, &ordinary, 1024)?, "ok");

    stage.step("a program with the privilege wants the port of the echo service");
    let privileged = stage.actor(Side::Server)?;
    stage.claim_is("it gets it", &bind(stage, &privileged, PORT)?, "ok");
    stage.step("while it has it, the other asks again");
    let again = bind(stage, &ordinary, PORT)?;
    stage.claim_is("the privilege is looked at first: permission denied, not in use", &again, "EACCES");
    privileged.must("close")?;

    stage.step("the operator lets everybody have ports from 7 on");
    stage.two().server.set_sysctl(START, &PORT.to_string())?;
    stage.claim_is("the program without the privilege gets the port", &bind(stage, &ordinary, PORT)?, "ok");
    stage.claim_is("and listens", &ordinary.call("listen 10")?, "ok");
    stage.claim_is("the port before is still refused", &bind(stage, &ordinary, PORT - 1)?, "EACCES");
    Ok(())
}

/// What bind of a new socket comes to.
fn bind(stage: &Stage, actor: &Actor, port: u16) -> Result<String, Broken> {
    actor.must(&format!("socket {}", stage.number()))?;
    actor.call(&format!("bind {} {port}", stage.family().any()))
}
