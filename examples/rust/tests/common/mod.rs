//! A server with a fault.

use tcpecho::{Fault, Server};

/// Serves with a script, a preset or rules.
pub fn serve(fault: &str) -> Server {
    let server = Server::builder().listen("127.0.0.1:0".parse().unwrap()).seed(1);
    let server = match fault.parse().unwrap() {
        Fault::Listener(fault) => server.listener_fault(fault),
        Fault::Connections(plan) => server.fault_plan(&plan),
        other => panic!("{other:?}"),
    };
    server.start().unwrap()
}
