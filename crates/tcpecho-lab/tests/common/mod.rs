//! What the tests of the laboratory share: two hosts with agents, or the reason for a SKIP.

#![allow(dead_code, unused_imports, reason = "every test file uses a part of it")]
#![allow(unreachable_pub, reason = "shared by several test files")]

pub use std::time::{Duration, Instant};

pub use rustix::process::Signal;
pub use tcpecho_lab::timeline::PacketMoment;
pub use tcpecho_lab::{
    Action, Exit, Family, Flags, IcmpError, Matcher, Options, Place, Program, Rule, Side, TcpState,
    TwoHosts, Verdict, What,
};

pub const PATIENCE: Duration = Duration::from_secs(60);
pub const PORT: u16 = 7;

pub struct Lab {
    pub two: TwoHosts,
    pub family: Family,
}

/// Runs a test for each family; prints SKIP and the reason where no hosts can be made.
#[macro_export]
macro_rules! both {
    ($name:ident, $body:expr) => {
        mod $name {
            use super::*;

            #[test]
            fn v4() {
                Lab::with(Family::V4, $body);
            }

            #[test]
            fn v6() {
                Lab::with(Family::V6, $body);
            }
        }
    };
}
pub use both;

impl Lab {
    pub fn with(family: Family, body: impl FnOnce(Lab)) {
        let options = Options { family, ..Options::default() };
        match TwoHosts::new(&options) {
            Ok(two) => body(Lab { two, family }),
            Err(failed) => eprintln!("SKIP {family}: {failed}"),
        }
    }

    pub fn agent(&self, side: Side) -> Program {
        self.two.host(side).program([env!("CARGO_BIN_EXE_tcpecho-agent")]).unwrap()
    }

    fn number(&self) -> char {
        if self.family == Family::V4 { '4' } else { '6' }
    }

    /// A listening agent in the server's host.
    pub fn listening(&self) -> Program {
        let server = self.agent(Side::Server);
        for line in [
            format!("socket {}", self.number()),
            "setsockopt reuseaddr on".into(),
            format!("bind {} {PORT}", self.family.any()),
            "listen 10".into(),
        ] {
            assert!(server.ask(&line, PATIENCE).unwrap().starts_with("ok"), "{line}");
        }
        server
    }

    pub fn starts_connecting(&self, client: &Program) {
        assert!(
            client.ask(&format!("socket {}", self.number()), PATIENCE).unwrap().starts_with("ok")
        );
        let address = Side::Server.address(self.family);
        client.say(&format!("connect {address} {PORT}")).unwrap();
    }

    /// A connected agent in each host: client and server.
    pub fn connected(&self) -> (Program, Program) {
        let (server, client) = (self.listening(), self.agent(Side::Client));
        self.starts_connecting(&client);
        assert_eq!(client.next_line(PATIENCE).unwrap(), "ok");
        let accepted = server.ask("accept", PATIENCE).unwrap();
        assert!(accepted.starts_with("ok 1 fd="), "{accepted}");
        (client, server)
    }

    pub fn packets(&self) -> Vec<PacketMoment> {
        let moments = self.two.timeline.since(0).into_iter();
        moments
            .filter_map(|moment| match moment.what {
                What::Packet(packet) => Some(packet),
                _ => None,
            })
            .collect()
    }

    pub fn lines(&self) -> Vec<String> {
        self.packets().into_iter().map(|moment| moment.line).collect()
    }

    pub fn saw_state(&self, place: Place, state: TcpState) -> bool {
        self.two.timeline.since(0).iter().any(|moment| {
            moment.place == place
                && matches!(&moment.what, What::State { now: Some(now), .. } if *now == state)
        })
    }
}
