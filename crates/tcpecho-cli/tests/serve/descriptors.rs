//! The limit on descriptors: what is needed is counted, and what is left is for connections.

use std::{net::TcpStream, process::Stdio};

use crate::common::{
    server::{after, refused_command},
    *,
};

/// The number of connections in the warning.
fn room(server: &Serving) -> usize {
    let warning = server.says("of which the server itself needs");
    let words: Vec<&str> = warning.split(' ').collect();
    let number = words.iter().position(|word| *word == "leaves").unwrap() + 1;
    words[number].parse().unwrap_or_else(|_| panic!("{warning}"))
}

#[test]
fn what_is_left_is_for_connections() {
    together(engines(), |engine| {
        for workers in ["1", "2"] {
            let mut command = after("ulimit -n 128", engine, &["--workers", workers]);
            let server = Serving::run(&mut command);
            let room = room(&server);
            // Standard streams, signals, listeners, loops, and a few pipes: two dozen in all.
            assert!(room >= 100, "only {room}: {:#?}", server.log());
            // An iterative server has one of them, and the others wait.
            let room = if engine == "iterative" { 1 } else { room };
            let mut inside: Vec<TcpStream> = (0..room).map(|_| server.connects()).collect();
            for stream in &mut inside {
                echoes(stream, b"room for me");
            }
            if engine != "iterative" {
                // All are served, and there is a descriptor to refuse one more with.
                assert!(!answers(&mut server.connects()));
                server.says("ending=limit");
            }
            assert_eq!(server.said("accept fails").len(), 0, "{:#?}", server.log());
        }
    });
}

#[test]
fn bulk_takes_no_connection_its_descriptor() {
    let server = Serving::run(&mut after("ulimit -n 128", "epoll", &[]));
    let room = room(&server);
    let inside: Vec<TcpStream> = (0..room).map(|_| server.connects()).collect();
    for stream in &inside {
        exchange(&stream.try_clone().unwrap(), MIB);
    }
    let mut inside: Vec<TcpStream> = (0..room).map(|_| server.connects()).collect();
    for stream in &mut inside {
        echoes(stream, b"still room for me");
    }
    assert_eq!(server.said("accept fails").len(), 0, "{:#?}", server.log());
}

#[test]
fn a_server_that_is_ready_can_serve() {
    together(engines(), |engine| {
        let mut refused = 0;
        for limit in 5..24 {
            let mut command = after(&format!("ulimit -n {limit}"), engine, &[]);
            let ended = {
                let mut server =
                    Serving::run_with(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
                if server.is_ready() {
                    visits(server.addr());
                    continue;
                }
                server.ends()
            };
            refused += 1;
            let text = format!("{limit} descriptors are too few for a connection");
            ended.with(2).says(&text).says("ulimit -n");
        }
        // Otherwise the limits do not reach low enough.
        assert!((1..18).contains(&refused), "{refused}");
    });
}

#[test]
fn more_connections_than_descriptors_are_warned_of() {
    let server = Serving::run(&mut after("ulimit -n 200", "epoll", &["-m", "199"]));
    assert!(
        server.says("warning: the limit of 200 descriptors").contains("although 199 are allowed")
    );
    let server = Serving::run(&mut after("ulimit -n 200", "epoll", &["-m", "150"]));
    visits(server.addr());
    assert_eq!(server.said("warning").len(), 0, "{:#?}", server.log());
}

#[test]
fn the_advised_descriptor_limit_is_enough() {
    for engine in engines() {
        let ended = refused_command(&mut after("ulimit -n 7", engine, &[]));
        let said = ended.with(2).log.join(" ");
        let advice = said.split("raise the limit to ").nth(1).unwrap().split(' ').next().unwrap();
        let server = Serving::run(&mut after(&format!("ulimit -n {advice}"), engine, &[]));
        visits(server.addr());
    }
}
