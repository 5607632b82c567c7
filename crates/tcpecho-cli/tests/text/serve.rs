//! `tcpecho serve`.

use std::{
    io::{BufRead, BufReader, Read},
    process::Child,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    common::{Serving, process::children, somewhere, visits},
    compare, looks,
    printed::{PLACES, Place},
    seen,
};

/// Runs a server here, which serves one client and is stopped, and returns what it says.
fn session(place: Place, args: &str) -> Option<String> {
    let line = format!("exec tcpecho serve -l 127.0.0.1:0 {args}");
    let Ok(mut running) = place.command(&line).spawn() else {
        println!("SKIP: no script(1)");
        return None;
    };
    let mut output = BufReader::new(running.stdout.take().unwrap());
    let mut text = String::new();
    read_past(&mut output, "backlog=", &mut text);
    let (_, addr) = text.split_once("listening on ").unwrap();
    visits(addr.split_whitespace().next().unwrap().parse().unwrap());
    read_past(&mut output, "duration=", &mut text);
    kill_process(server(&running, place), Signal::TERM).unwrap();
    output.read_to_string(&mut text).unwrap();
    running.wait().unwrap();
    Some(text)
}

/// The server itself, which script(1) has started.
fn server(running: &Child, place: Place) -> Pid {
    let pid = Pid::from_child(running);
    if place == Place::Pipe { pid } else { children(pid)[0] }
}

/// Reads the lines up to the one with this.
fn read_past(output: &mut impl BufRead, part: &str, text: &mut String) {
    let mut line = String::new();
    while !line.contains(part) {
        line.clear();
        assert!(output.read_line(&mut line).unwrap() > 0, "no {part:?} in {text}");
        text.push_str(&line);
    }
}

#[test]
fn log() {
    let sessions = PLACES.map(|place| Some((place, session(place, "")?)));
    let Some(all) = sessions.into_iter().collect::<Option<Vec<_>>>() else { return };
    compare("serve", &all, seen);
}

/// Runs a gallery here until its table is complete, and returns it.
fn table(place: Place) -> Option<String> {
    let line = "exec tcpecho serve --gallery -l 127.0.0.1:0 --seed 1 --log off 2>/dev/null";
    let Ok(mut running) = place.command(line).spawn() else {
        println!("SKIP: no script(1)");
        return None;
    };
    let mut output = BufReader::new(running.stdout.take().unwrap());
    let mut text = String::new();
    // The last row, whose last word may be in another line.
    read_past(&mut output, "refuse  ", &mut text);
    if !text.trim_end().ends_with("once") {
        read_past(&mut output, "once", &mut text);
    }
    kill_process(server(&running, place), Signal::TERM).unwrap();
    output.read_to_string(&mut text).unwrap();
    running.wait().unwrap();
    Some(text)
}

#[test]
fn gallery() {
    let tables = PLACES.map(|place| Some((place, table(place)?)));
    let Some(all) = tables.into_iter().collect::<Option<Vec<_>>>() else { return };
    compare("serve-gallery", &all, seen);
}

#[test]
fn failures() {
    let server = Serving::start("epoll", somewhere(), &[]);
    looks("serve-in-use", &format!("tcpecho serve -l {}", server.addr()));
    looks("serve-not-ours", "tcpecho serve -l 192.0.2.1:7000");
    looks(
        "serve-usage",
        "tcpecho serve --engine foo; tcpecho serve --workers 0; tcpecho serve -l x:y",
    );
}

#[test]
fn engines_in_a_table() {
    for place in PLACES {
        let Some(text) = place.shows("tcpecho serve --engine list") else { return };
        place.check(&text);
    }
}
