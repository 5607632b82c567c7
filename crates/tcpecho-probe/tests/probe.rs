//! The prober and the sweeps, as a program uses them, without one.

use std::{
    io::{self, PipeReader, PipeWriter, Write},
    ops::ControlFlow,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use rustix::event::PollFlags;
use tcpecho::Server;
use tcpecho_probe::{
    Command, Control, Destination, End, Event, Finding, Mode, Observer, Pace, Pause, Plan, Step,
    Stop, Sweep, SweepObserver, Sweeper, Target, probe,
};

fn plan() -> Plan {
    Plan {
        mode: Mode::Stay,
        pace: Pace::Settled(Duration::ZERO),
        count: Some(3),
        deadline: None,
        timeout: Duration::from_secs(20),
        size: 100,
        source: None,
        device: None,
        kernel_timestamps: false,
        keep_times: true,
        connections: 1,
        overlap: true,
    }
}

fn server() -> (Server, Destination) {
    let server = Server::builder().listen("127.0.0.1:0".parse().unwrap()).start().unwrap();
    let addrs = vec![server.addr()];
    (server, Destination { name: "here".into(), looked_up: None, addrs })
}

/// Collects what happens. If it has a pipe, it writes a byte at the first answer, and stops once poll(2) has reported it.
#[derive(Default)]
struct Caller {
    pipe: Option<(PipeReader, PipeWriter)>,
    is_readable: bool,
    answers: Vec<u64>,
    steps: Vec<bool>,
}

impl Caller {
    fn that_stops() -> Self {
        Caller { pipe: Some(io::pipe().unwrap()), ..Caller::default() }
    }

    fn write(&mut self) {
        if let Some((_, writer)) = &mut self.pipe {
            writer.write_all(b"x").unwrap();
        }
    }
}

impl Control for Caller {
    fn watched(&self) -> Vec<(BorrowedFd<'_>, PollFlags)> {
        self.pipe.iter().map(|(reader, _)| (reader.as_fd(), PollFlags::IN)).collect()
    }

    fn on_ready(&mut self, ready: &[bool]) {
        assert_eq!(ready.len(), self.watched().len());
        self.is_readable |= ready.contains(&true);
    }

    fn next_command(&mut self) -> Option<Command> {
        self.is_readable.then_some(Command::Stop)
    }

    fn suspend(&mut self) -> bool {
        false
    }
}

impl Observer for Caller {
    fn event(&mut self, target: &str, event: &Event) {
        assert_eq!(target, "here");
        if let Event::Answer(answer) = event {
            self.answers.push(answer.seq);
            self.write();
        }
    }

    fn paused(&mut self, _: Pause) {}

    fn turn(&mut self, targets: &[Target], _: Instant) {
        assert_eq!(targets.len(), 1);
    }

    fn interim(&mut self, _: &[Target]) {}

    fn deadline(&self) -> Option<Instant> {
        None
    }
}

impl SweepObserver for Caller {
    fn step(&mut self, step: &Step<'_>) -> ControlFlow<()> {
        self.steps.push(step.holds);
        self.write();
        ControlFlow::Continue(())
    }
}

#[test]
fn probes_are_answered_and_counted() {
    let (_server, here) = server();
    let mut caller = Caller::default();
    let outcome = probe(&plan(), vec![here], &mut caller);
    assert_eq!((outcome.end, caller.answers), (End::Done, vec![1, 2, 3]));
    let [target] = outcome.targets.as_slice() else { panic!("one target") };
    let stats = &target.stats;
    assert_eq!((stats.transmitted, stats.received(), stats.lost), (3, 3, 0));
    assert_eq!((stats.connections, target.times.len()), (1, 3));
}

#[test]
fn a_descriptor_of_the_caller_wakes_the_loop() {
    let (_server, here) = server();
    let mut caller = Caller::that_stops();
    // The second probe is not due for a day.
    let pace = Pace::Every(Duration::from_secs(86_400));
    let outcome = probe(&Plan { pace, ..plan() }, vec![here], &mut caller);
    assert_eq!((outcome.end, caller.answers), (End::Stopped, vec![1]));
}

#[test]
fn a_sweep_reports_its_steps() {
    let (_server, here) = server();
    let mut caller = Caller::default();
    let found = Sweeper::new(&plan(), Sweep::Size(1000)).run(here.addrs, &mut caller);
    assert!(found.stop.is_none(), "{found:?}");
    let finding = found.finding;
    assert!(
        matches!(finding, Some(Finding::Size { passes: 1000, fails: None, .. })),
        "{finding:?}"
    );
    // 64, 128, 256, 512, 1000.
    assert_eq!(caller.steps, [true; 5]);
}

#[test]
fn a_descriptor_of_the_caller_ends_a_sweep() {
    let (_server, here) = server();
    let mut caller = Caller::that_stops();
    let sweep = Sweep::Idle(Duration::from_secs(86_400));
    let found = Sweeper::new(&plan(), sweep).run(here.addrs, &mut caller);
    assert!(matches!(found.stop, Some(Stop::Caller)), "{found:?}");
    // What is proven by then stays: at least the first step, which takes longer if this process does not run.
    let first = Duration::from_secs(1);
    assert!(
        matches!(found.finding, Some(Finding::Idle { alive, dead: None, .. }) if alive >= first),
        "{found:?}"
    );
    assert_eq!(caller.steps, [true]);
}
