use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::fault::{Delay, PRESETS, Payload, STEPS, Step};

#[test]
fn every_preset_is_read_from_its_example_and_written_the_same() {
    for preset in PRESETS {
        let fault: Fault = preset.example.parse().unwrap();
        assert_eq!(fault.to_string(), preset.example);
        assert!(preset.example.starts_with(preset.name));
        assert_ne!(preset.example.contains('='), preset.parameter.is_empty());
        match fault {
            Fault::Listener(_) => assert!(preset.script().is_none()),
            Fault::Connections(plan) => {
                let script = preset.script().unwrap();
                assert_eq!(plan.rules(), [(FaultWhen::All, script.clone())]);
                // A script whose text is forgotten is displayed by its steps.
                let steps = script.steps().iter().cloned();
                let steps = steps.fold(Script::new(), Script::step);
                assert_eq!(steps.to_string().parse(), Ok(script), "{}", preset.name);
            }
        }
        assert!(!preset.sentence.ends_with('.') && !preset.sentence.is_empty());
        let same = PRESETS.iter().filter(|other| other.name == preset.name).count();
        assert_eq!(same, 1, "{}", preset.name);
    }
}

#[test]
fn texts_stay_as_they_were_written() {
    for text in [
        "echo 100; pause 2s; reset",
        "echo all",
        "  echo   1024 ;close ",
        "send \"a;b,c\\n\\x00\\\"\"; expect 0xDEADbeef",
        "rate 10KiB/s; echo 1MiB; chunk 1 every 100ms±50ms; echo all",
        "pause 100ms+-50ms",
        "reset-after=10",
        "banner=\"220 hi\\r\\n\"",
        "banner=hello",
        "drip=1/100ms",
    ] {
        let script: Script = text.parse().unwrap();
        assert_eq!(script.to_string(), text);
        let plan: FaultPlan = format!("2-5:{text}, every=3 : {text}").parse().unwrap();
        assert_eq!(plan.rules().len(), 2);
        assert_eq!(plan.rules()[1], (FaultWhen::Every(3), script));
        assert_eq!(plan.rules()[1].1.to_string(), text.trim());
    }
}

#[test]
fn an_error_names_the_column() {
    for (text, column, words) in [
        ("", 1, "expected a step"),
        ("echo 100; pasue 2s", 11, "not \"pasue\""),
        ("echo", 5, "expected a size"),
        ("echo 0", 6, "out of range"),
        ("echo x", 6, "is not a size"),
        ("écho 1", 1, "expected a step"),
        ("echo 5 6", 8, "expected the end"),
        ("pause 2x", 7, "is not a duration"),
        ("pause 1s±2s", 10, "longer than the time"),
        ("rate 10", 6, "such as 10KiB/s"),
        ("chunk 1 each 1s", 9, "expected every"),
        ("send \"é", 6, "no counterpart"),
        ("send \"\"", 6, "empty"),
        ("send \"é\\q\"", 8, "unknown escape"),
        ("send \"\\x4\"", 9, "two hexadecimal"),
        ("send 0x123", 6, "two hexadecimal"),
        ("send 0x12zz", 10, "hexadecimal digit"),
        ("send hello", 6, "in quotes"),
        ("send \"a\tb\"", 8, "control character"),
        ("reset; echo 5", 8, "no step can follow reset"),
        ("fin; echo 5", 6, "after fin"),
        ("repeat 1MiB", 1, "limit is 64KiB"),
        ("repeat=1MiB", 8, "limit is 64KiB"),
        ("reset-after", 12, "needs a value, such as reset-after=10"),
        ("zero-window=1", 12, "takes no value"),
        ("reset-after=10; close", 15, "a preset is a whole script"),
        ("1:refuse", 3, "fault of the listener"),
        ("2-1:reset", 1, "ends before it begins"),
        ("0:reset", 1, "from 1 on"),
        ("every=0:reset", 7, "from 1 on"),
        ("every:reset", 6, "expected ="),
        ("probability=2:reset", 13, "from 0 to 1"),
        ("peer=10.0.0.0/33:reset", 15, "from 0 to 32"),
        ("peer=::1:reset", 6, "an address"),
        ("first=2x:reset", 7, "is not a duration"),
        ("1:reset,", 9, "expected a step"),
        ("1 reset", 3, "expected :"),
        ("accept-delay=1s±1s", 14, "without"),
        ("pause 300", 7, "such as 300ms or 300s"),
        ("delay=0.5", 7, "such as 0.5ms or 0.5s"),
        ("echo 5, pause 300ms, reset", 7, "separate steps with ;"),
        ("every=2:reset,all:close,9:reset", 24, "would never apply"),
    ] {
        let error = text.parse::<Fault>().unwrap_err().to_string();
        let place = format!("column {column}: ");
        assert!(error.contains(&place) && error.contains(words), "{text}: {error}");
    }
}

#[test]
fn a_step_and_a_preset_of_the_same_name_are_told_apart() {
    assert_eq!("drop 5".parse(), Ok(Script::new().drop_bytes(5)));
    assert_eq!("drop=5".parse(), Ok(Script::new().drop_bytes(5).echo_all()));
    assert_eq!("close-unread".parse(), Ok(Script::new().close_unread()));
    assert_eq!("echo 3; close-unread".parse(), Ok(Script::new().echo(3).close_unread()));
}

#[test]
fn the_end_of_a_script_is_close() {
    assert_eq!("echo 5; close".parse(), Ok(Script::new().echo(5)));
    assert_eq!("close".parse(), Ok(Script::new()));
    assert_ne!("reset".parse(), Ok(Script::new()));
}

#[test]
fn a_script_and_a_plan_are_bounded() {
    let steps = |n: usize| vec!["echo 1"; n].join(";");
    assert!(steps(64).parse::<Script>().is_ok());
    assert!(steps(65).parse::<Script>().unwrap_err().to_string().contains("at most 64 steps"));
    let rules = |n: usize| vec!["1:reset"; n].join(",");
    assert!(rules(256).parse::<FaultPlan>().is_ok());
    assert!(rules(257).parse::<FaultPlan>().is_err());
    assert!(format!("send \"{}\"", "x".repeat(1024)).parse::<Script>().is_ok());
    assert!(format!("send \"{}\"", "x".repeat(1025)).parse::<Script>().is_err());
}

#[test]
#[should_panic(expected = "no step can follow reset")]
fn the_builder_refuses_what_the_parser_refuses() {
    let _ = Script::new().reset().echo(5);
}

/// Whatever a step is made from, its text can be read again.
#[test]
fn no_step_is_out_of_range() {
    let (second, long) = (Duration::from_secs(1), Duration::from_secs(1 << 40));
    for step in [
        Step::Echo(Some(0)),
        Step::Discard(u64::MAX),
        Step::Repeat(65_537),
        Step::Rate(0),
        Step::Pause(long.into()),
        Step::Pause(Delay { time: second, jitter: second * 2 }),
        Step::Chunk(0, second.into()),
        Step::Chunk(1, long.into()),
    ] {
        let made = std::panic::catch_unwind(|| Script::new().step(step.clone()));
        assert!(made.is_err(), "{step}");
    }
}

#[test]
fn the_table_has_every_step() {
    for row in STEPS {
        assert!(row.syntax.starts_with(row.name) && row.meaning.ends_with('.'), "{}", row.name);
    }
}

#[test]
fn prefixes_of_peers() {
    let holds = |when: &str, peer: &str| {
        let peer = format!("{peer}:7").parse().unwrap();
        let since_start = Duration::from_secs(5);
        let candidate = crate::fault::when::Candidate { peer, n: 6, seed: 1, since_start };
        when.parse::<FaultWhen>().unwrap().holds(&candidate)
    };
    for (when, peer, wanted) in [
        ("peer=10.0.0.0/8", "10.9.9.9", true),
        ("peer=10.0.0.0/8", "11.0.0.0", false),
        ("peer=10.0.0.0/8", "[::ffff:10.1.1.1]", true),
        ("peer=0.0.0.0/0", "1.2.3.4", true),
        ("peer=0.0.0.0/0", "[::1]", false),
        ("peer=::/0", "[2001:db8::1]", true),
        ("peer=fd00::/8", "[fdff::1]", true),
        ("peer=fd00::/8", "[fe00::1]", false),
        ("peer=127.0.0.1", "127.0.0.1", true),
        ("peer=127.0.0.1", "127.0.0.2", false),
        ("all", "1.2.3.4", true),
        ("every=3", "1.2.3.4", true),
        ("every=4", "1.2.3.4", false),
        ("6", "1.2.3.4", true),
        ("2-5", "1.2.3.4", false),
        ("2-", "1.2.3.4", true),
        ("first=5s", "1.2.3.4", false),
        ("first=6s", "1.2.3.4", true),
        ("probability=0", "1.2.3.4", false),
        ("probability=1", "1.2.3.4", true),
    ] {
        assert_eq!(holds(when, peer), wanted, "{when} {peer}");
    }
}

fn delay() -> impl Strategy<Value = Delay> {
    (0_u64..1 << 50, 0_u64..1 << 50).prop_map(|(a, b)| Delay {
        time: Duration::from_nanos(a.max(b)),
        jitter: Duration::from_nanos(a.min(b)),
    })
}

fn payload() -> impl Strategy<Value = Payload> {
    let text = "\\PC{1,40}|[\\x00-\\x7f]{1,40}".prop_map(String::into_bytes);
    prop_oneof![text, proptest::collection::vec(any::<u8>(), 1..40)].prop_map(|bytes| {
        let script = Script::new().send(bytes);
        let Step::Send(payload) = &script.steps()[0] else { unreachable!() };
        payload.clone()
    })
}

fn step() -> impl Strategy<Value = Step> {
    let n = || 1_u64..1 << 40;
    prop_oneof![
        Just(Step::Echo(None)),
        n().prop_map(|n| Step::Echo(Some(n))),
        n().prop_map(Step::Discard),
        n().prop_map(Step::Corrupt),
        n().prop_map(Step::Drop),
        (1_u64..65536).prop_map(Step::Repeat),
        delay().prop_map(Step::Pause),
        payload().prop_map(Step::Send),
        payload().prop_map(Step::Expect),
        n().prop_map(Step::Rate),
        (n(), delay()).prop_map(|(n, delay)| Step::Chunk(n, delay)),
        Just(Step::WaitFin),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    let last = prop_oneof![
        Just(Step::Fin),
        Just(Step::Close),
        Just(Step::Reset),
        Just(Step::CloseUnread),
        Just(Step::StopReading),
    ];
    (proptest::collection::vec(step(), 0..20), last)
        .prop_map(|(steps, last)| steps.into_iter().fold(Script::new(), Script::step).step(last))
}

proptest! {
    #[test]
    fn a_script_is_the_same_after_it_was_written_and_read(script in script()) {
        let text = script.to_string();
        let read: Script = text.parse().unwrap();
        prop_assert_eq!(&read, &script);
        prop_assert_eq!(read.to_string(), text);
    }

    #[test]
    fn what_is_accepted_is_written_as_it_was_read(
        text in any::<String>(),
        near in "((echo|send|pause|drop=|1-2:|every=2:|reset-after=|chunk)[ 0-9a-zµ±\"\\\\/;,:=]{0,12}[;,]?){1,4}",
    ) {
        for text in [text, near] {
            if let Ok(script) = text.parse::<Script>() {
                prop_assert_eq!(script.to_string(), text.clone());
            }
            if let Ok(plan) = text.parse::<FaultPlan>() {
                prop_assert_eq!(plan.to_string(), text.clone());
            }
            if let Ok(fault) = text.parse::<Fault>() {
                let is_value = matches!(fault, Fault::Listener(_));
                prop_assert!(is_value || fault.to_string() == text);
            }
        }
    }
}
