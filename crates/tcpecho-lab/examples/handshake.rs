//! A handshake between two hosts, without root where the system allows it.

#![forbid(unsafe_code)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use tcpecho_lab::{Failed, Family, Options, Side, TwoHosts, What, doctor};

fn main() -> ExitCode {
    // First of all: a process can only enter a user namespace while it has one thread.
    match make() {
        Ok(two) => match talk(&two) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        Err(failed) => {
            eprintln!("SKIP {failed}");
            ExitCode::from(77)
        }
    }
}

fn make() -> Result<TwoHosts, Failed> {
    let way = doctor::best().map_err(|findings| {
        findings.into_iter().find_map(|finding| finding.failed).expect("no way was open")
    })?;
    println!("{}", way.words());
    way.enter()?;
    TwoHosts::new(&Options { cable: way.cable(), ..Options::default() })
}

fn talk(two: &TwoHosts) -> std::io::Result<()> {
    let address = SocketAddr::new(Side::Server.address(Family::V4), 7);
    let listener = two.server.run(|| TcpListener::bind(address))??;
    let mut client = two.client.run(|| TcpStream::connect(address))??;
    let (mut server, _) = listener.accept()?;
    client.write_all(b"hello")?;
    server.read_exact(&mut [0; 5])?;
    let program = two.client.program(["/bin/uname", "-n"])?;
    let name = program.next_line(Duration::from_secs(10)).map_err(std::io::Error::other)?;
    println!("the client host is called {name}");
    for moment in two.timeline.since(0) {
        if let What::Packet(packet) = moment.what {
            println!(
                "{:>9.3?} from {}: {} ({})",
                moment.at, packet.from, packet.line, packet.verdict
            );
        }
    }
    Ok(())
}
