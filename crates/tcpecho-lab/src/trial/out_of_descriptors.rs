//! The program has no descriptor left for the next client: EMFILE (accept(2)).

use std::time::Duration;

use super::{Fault, server};

trial! { SERVER, harness;
    name: "out-of-descriptors",
    group: Some(crate::text::Group::Queues),
    title: "more clients connect than the program has descriptors",
    source: "accept(2), EMFILE",
    question: "accept fails while clients wait in the queue. Does the program survive without \
               spinning, and serve clients again?";

    step "the program may open one more descriptor than it has; five clients connect";
    let program = server::open(harness)?;
    claim_serves_another("the line of a client that comes first is echoed")?;
    claim_no_close_wait("the first client's socket is closed at the server");
    program.process.allow_descriptors(Some(1))?;
    let clients = (0..5).map(|_| server::customer(harness)).collect::<Result<Vec<_>, _>>()?;
    let mut busy = 0;
    for _ in 0..LOOKS {
        std::thread::sleep(Duration::from_millis(10));
        busy += usize::from(program.process.is_busy());
    };
    claim_or("the program waits without spinning", Fault::Spins, busy < LOOKS / 2);
    claim_runs("the program still runs", &program);

    step "the clients close, the limit is lifted, and another client connects";
    for client in &clients {
        harness.leaves(client);
    };
    program.process.allow_descriptors(None)?;
    claim_serves_another("the client's line is echoed")?;
    claim_runs("the program still runs with the limit lifted", &program);
}

/// The number of samples. A program that spins runs or waits for a processor in each, however busy
/// the machine is.
const LOOKS: usize = 50;
