//! The server's host crashes, reboots, and answers with RST (UNP 5.15).

use super::{client, pair, server};
use crate::impairment::Matcher;

trial! { CLIENT, harness;
    name: "crash-and-reboot",
    title: "the server's host crashes and reboots",
    source: "UNP 5.15",
    question: "The rebooted host does not know the connection. Does the program report that \
               its line is lost?";

    step "a line is echoed; the server's host loses power and boots";
    let (program, server) = client::meet(harness)?;
    client::exchange(harness, &program, &server, "one")?;
    harness.stage.two_mut().server.power_off();
    harness.stage.two_mut().server.reboot()?;
    claim_runs("the program still runs, because no packet has told it of the crash", &program);

    step "a line is typed";
    harness.decisive();
    program.types("two");
    claim_packet("the server's host answers with RST", &Matcher::rst().from_server());
    claim_fails("the program exits with a status other than 0", &program);
    claim_output("the program has written the first line and nothing else", &program, &["one"]);
}

trial! { PAIR, harness;
    name: "crash-and-reboot",
    title: "the server's host crashes and reboots",
    source: "UNP 5.15",
    question: "The rebooted host does not know the connection. Does the client report that its \
               line is lost, and can the server be restarted?";

    step "a line is echoed; the server's host loses power and boots, and the server is started \
          again";
    let pair = pair::meet(harness)?;
    pair::exchange(harness, &pair, "one")?;
    harness.stage.two_mut().server.power_off();
    harness.stage.two_mut().server.reboot()?;
    let server = server::open(harness)?;
    claim_runs("the client still runs, because no packet has told it of the crash", &pair.client);

    step "a line is typed";
    harness.decisive();
    pair.client.types("two");
    claim_packet("the server's host answers with RST", &Matcher::rst().from_server());
    claim_fails("the client exits with a status other than 0", &pair.client);
    claim_output("the client has written the first line and nothing else", &pair.client, &["one"]);
    claim_runs("the restarted server still runs", &server);
}
