//! The program is started with signals ignored, as some shells and supervisors do (UNP 4.7, execve(2)).

use super::{client, server};

trial! { CLIENT, harness;
    name: "exec-inherits",
    title: "the program is started with SIGPIPE and SIGCHLD ignored",
    source: "UNP 4.7, 5.13, execve(2)",
    question: "A signal that is ignored stays ignored through exec. Does the program still end well?";

    step "the program is started with SIGPIPE and SIGCHLD ignored, and a line is echoed";
    harness.ignore_signals();
    let (program, server) = client::meet(harness)?;
    client::exchange(harness, &program, &server, "one")?;

    step "the input ends, and the server closes";
    harness.decisive();
    program.ends_input();
    client::closes(harness, &server);
    claim_ends_well("the program exits with status 0", &program);
    claim_output("the program has written the line", &program, &["one"]);
}

// The same for a server, whose children then leave no zombies and no status (wait(2)).
trial! { SERVER, harness;
    name: "exec-inherits",
    title: "the program is started with SIGPIPE and SIGCHLD ignored",
    source: "UNP 4.7, 5.9, execve(2), wait(2)",
    question: "With SIGCHLD ignored wait fails with ECHILD, and no signal comes. Does the program \
               serve one client after the other?";

    step "the program is started with SIGPIPE and SIGCHLD ignored; three clients come and go";
    harness.ignore_signals();
    let program = server::open(harness)?;
    for _ in 0..3 {
        let client = server::customer(harness)?;
        server::served(harness, &client, "hello")?;
        harness.leaves(&client);
    };
    claim_serves_another("a fourth client's line is echoed")?;
    claim_runs("the program still runs", &program);
    claim_no_zombies("no zombie is left", &program);
    claim_no_close_wait("no socket is left in CLOSE_WAIT");
}
