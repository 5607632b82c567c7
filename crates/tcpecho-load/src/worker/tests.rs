//! A worker with a driver that plays any events. Its sockets are real, its bytes are not.

use std::{
    net::TcpListener,
    os::fd::{BorrowedFd, OwnedFd},
    rc::Rc,
};

use rustix::io::Errno;

use super::*;

/// A driver whose events are given. What is sent is kept.
#[derive(Default)]
struct Played {
    attached: usize,
    released: usize,
    /// Bytes that the socket takes before it is full.
    room: usize,
    sent: Vec<u8>,
    wants_writable: bool,
    received: Vec<u8>,
    events: VecDeque<Event>,
}

impl Driver for Played {
    fn watch(&mut self, _slot: usize, _handshake: BorrowedFd<'_>) -> Result<(), Errno> {
        Ok(())
    }

    fn attach(&mut self, _slot: usize, _socket: &Rc<OwnedFd>, _: bool) -> Result<(), Errno> {
        self.attached += 1;
        Ok(())
    }

    fn received(&self) -> &[u8] {
        &self.received
    }

    fn send(&mut self, _slot: usize, bytes: &[u8]) -> Result<usize, Errno> {
        let count = bytes.len().min(self.room);
        self.room -= count;
        self.sent.extend_from_slice(&bytes[..count]);
        if count == 0 { Err(Errno::AGAIN) } else { Ok(count) }
    }

    fn set_writable(&mut self, _slot: usize, wanted: bool) -> Result<(), Errno> {
        self.wants_writable = wanted;
        Ok(())
    }

    fn release(&mut self, _slot: usize, _socket: Rc<OwnedFd>) {
        self.released += 1;
    }

    fn is_free(&self, _slot: usize) -> bool {
        true
    }

    fn wait(&mut self, _until: u64, _precise: bool) -> Result<(), Error> {
        Ok(())
    }

    fn next_event(&mut self) -> Result<Option<Event>, Error> {
        Ok(self.events.pop_front())
    }
}

/// Lets a worker with one connection play these steps, from the moment that it has sent its first 4 bytes.
fn play(steps: impl FnOnce(&mut Worker, &mut Played)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let plan = Plan::new(listener.local_addr().unwrap(), Profile::new(vec![4]));
    let (rules, stop) = (Rules::new(&plan, 1), Stop::new().unwrap());
    let mut worker = Worker::new(&rules, plan.connections.iter().copied(), &stop);
    let mut driver = Played { room: 4, ..Played::default() };
    worker.open(&mut driver, 0, clock::now());
    while worker.slots[0].stage != Stage::Open {
        worker.on_handshake(&mut driver, 0);
    }
    (worker.phase, worker.budget) = (Phase::Running, u64::MAX);
    worker.advance(&mut driver, 0, clock::now());
    assert_eq!((driver.attached, driver.sent.len()), (1, 4));
    steps(&mut worker, &mut driver);
}

fn happens(worker: &mut Worker, driver: &mut Played, event: Event) {
    driver.events.push_back(event);
    worker.poll(driver, clock::now()).unwrap();
}

fn endings(worker: &Worker) -> Vec<Ending> {
    worker.tally.errors().map(|(ending, _, _)| ending).collect()
}

#[test]
fn an_answer_in_parts_is_one_message_and_the_next_one_follows() {
    play(|worker, driver| {
        driver.room = 3;
        let all = driver.sent.clone();
        driver.received = all[..1].to_vec();
        happens(worker, driver, Event::Received(0));
        assert_eq!((worker.tally.messages, driver.sent.len()), (0, 4));
        driver.received = all[1..].to_vec();
        happens(worker, driver, Event::Received(0));
        // The socket takes three bytes of the next message, and then the last one.
        assert_eq!((worker.tally.messages, driver.sent.len()), (1, 7));
        assert!(driver.wants_writable);
        driver.room = 9;
        happens(worker, driver, Event::Writable(0));
        assert_eq!((driver.sent.len(), driver.wants_writable), (8, false));
        assert_eq!(endings(worker), []);
    });
}

#[test]
fn a_wrong_byte_ends_the_connection_and_the_next_one_is_made() {
    play(|worker, driver| {
        driver.received = driver.sent.iter().map(|byte| !byte).collect();
        happens(worker, driver, Event::Received(0));
        assert_eq!(endings(worker), [Ending::Mismatch]);
        assert_eq!((driver.released, worker.tally.lost, worker.tally.lost_bytes), (1, 1, 4));
        assert_eq!(worker.slots[0].stage, Stage::Absent);
        worker.retry(driver, clock::now() + PAUSE);
        assert!(matches!(worker.slots[0].stage, Stage::Open | Stage::Connecting));
    });
}

#[test]
fn a_fin_before_the_answer_and_a_failed_call_are_endings() {
    play(|worker, driver| {
        happens(worker, driver, Event::EndOfFile(0));
        assert_eq!(endings(worker), [Ending::ClosedEarly]);
    });
    play(|worker, driver| {
        happens(worker, driver, Event::Failed(0, "recv", Errno::CONNRESET));
        let (ending, _, first) = worker.tally.errors().next().unwrap();
        assert_eq!(ending, Ending::of_established(Errno::CONNRESET));
        assert!(first.unwrap().starts_with("recv 127.0.0.1:"), "{first:?}");
    });
}

#[test]
fn events_about_a_former_connection_do_nothing() {
    play(|worker, driver| {
        happens(worker, driver, Event::EndOfFile(0));
        let sent = driver.sent.len();
        for late in [Event::Writable(0), Event::Handshake(0)] {
            driver.room = 9;
            happens(worker, driver, late);
        }
        assert_eq!((worker.tally.error_count(), driver.sent.len(), driver.released), (1, sent, 1));
    });
}
