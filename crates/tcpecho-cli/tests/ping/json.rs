//! The objects are what `tcpecho schema ping` says they are.

use serde_json::Value;

use crate::{
    common::{peers::deserted, somewhere},
    schema::complaints,
    support::*,
};

/// Every object is in the schema; the names of their events.
fn checked(objects: &[Value]) -> Vec<String> {
    objects
        .iter()
        .map(|object| {
            assert_eq!(complaints("ping.json", object), [""; 0], "{object}");
            object["event"].as_str().unwrap_or_default().to_owned()
        })
        .collect()
}

#[test]
fn the_schema_refuses_what_it_does_not_know() {
    for text in ["{}", r#"{"event": "answered"}"#, "3", r#"{"event": "doubled", "seq": "1"}"#] {
        let wrong = serde_json::from_str(text).unwrap();
        assert!(!complaints("ping.json", &wrong).is_empty(), "{text}");
    }
}

#[test]
fn one_object_at_the_end() {
    let ended = ping(&["-c", "3", "-i", "0.02", "--json"]);
    let report = ended.with(0).object();
    checked(std::slice::from_ref(&report));
    let target = &report["targets"][0];
    assert_eq!((&target["transmitted"], &target["received"]), (&3.into(), &3.into()));
    assert_eq!((&report["exit_status"], &report["settings"]["count"]), (&0.into(), &3.into()));
    let time = &target["time"];
    let [min, p50, max] = ["min_us", "p50_us", "max_us"].map(|name| time[name].as_f64().unwrap());
    assert!(0.0 < min && min <= p50 && p50 <= max, "{time}");
}

#[test]
fn an_object_for_each_thing_that_happens() {
    // A greeting, a changed byte, a doubled answer, a late one, none; then FIN.
    let addr = answering(|number, probe| match number {
        1 => Some([b"hello".as_slice(), probe].concat()),
        2 => Some(probe.iter().map(|byte| byte ^ u8::from(*byte == probe[50])).collect()),
        3 => Some(probe.repeat(2)),
        4 => {
            std::thread::sleep(std::time::Duration::from_millis(1500));
            Some(probe.to_vec())
        }
        5 => Some(Vec::new()),
        6 => None,
        _ => Some(probe.to_vec()),
    });
    let ended = ping_to(addr, &["-c", "9", "-i", "0.4", "-W", "1", "--json-stream"]);
    let objects = ended.with(1).objects();
    let events = checked(&objects);
    for event in [
        "connected",
        "answered",
        "foreign",
        "corrupted",
        "doubled",
        "late",
        "lost",
        "broken",
        "report",
    ] {
        assert!(events.iter().any(|seen| seen == event), "no {event} in {events:?}");
    }
    assert_eq!(events.last().unwrap(), "report");
    let answered = objects.iter().find(|object| object["event"] == "answered").unwrap();
    assert_eq!((&answered["seq"], &answered["bytes"]), (&1.into(), &64.into()));
    let broken = objects.iter().find(|object| object["event"] == "broken").unwrap();
    assert_eq!((&broken["ending"], &broken["errno"]), (&"closed-early".into(), &Value::Null));
    let diagnosis = &broken["diagnosis"];
    assert_eq!(
        (&diagnosis["case"], &diagnosis["certain"]),
        (&"closed-early".into(), &true.into()),
        "{broken}"
    );
    assert!(broken["message"].as_str().unwrap().contains(" bytes had come back"), "{broken}");
}

#[test]
fn nobody_there_is_an_object_too() {
    let (_held, addr) = deserted(somewhere());
    let ended = ping_to(addr, &["-c", "2", "-i", "0.02", "--json-stream"]);
    let objects = ended.with(1).objects();
    assert!(checked(&objects).contains(&"unconnected".to_string()));
    let attempt = &objects[0]["attempts"][0];
    assert_eq!(
        (&attempt["ending"], &attempt["errno"]),
        (&"refused".into(), &"ECONNREFUSED".into())
    );
    assert_eq!(attempt["diagnosis"]["case"], "nobody-listens-here", "{attempt}");
    let ended = ping_to(addr, &["-c", "1", "--connect", "--json-stream"]);
    assert!(checked(&ended.with(1).objects()).contains(&"refused".to_string()));
    // No name server is asked for a name with an empty label.
    let ended = ping(&["-c", "1", "--json-stream", "no..name"]);
    let objects = ended.with(3).objects();
    assert_eq!(checked(&objects), ["unresolved", "report"]);
    assert!(objects[0]["message"].as_str().unwrap().starts_with("getaddrinfo no..name: "));
}

#[test]
fn a_name_without_an_address_is_among_the_targets() {
    let (_held, addr) = deserted(somewhere());
    for targets in [vec!["no..name"], vec!["no..name", &addr.to_string()]] {
        let ended = ping(&[&["-c", "1", "--json"], targets.as_slice()].concat());
        let report = ended.with(3).object();
        checked(std::slice::from_ref(&report));
        let rows = report["targets"].as_array().unwrap();
        assert_eq!(rows.len(), targets.len(), "{report}");
        let row = rows.iter().find(|row| row["target"] == "no..name").unwrap();
        assert_eq!(row["error"]["ending"], "resolve-failed", "{row}");
        assert_eq!(row["error"]["op"], "getaddrinfo", "{row}");
        assert!(row["diagnosis"]["advice"].is_string(), "{row}");
        // Of no probe nothing was lost, and nothing arrived.
        assert!(row["loss_percent"].is_null() && row["jitter_us"].is_null(), "{row}");
        assert_eq!(report["exit_status"], 3);
    }
}

#[test]
fn a_target_that_refuses_says_so_in_every_mode() {
    let (_held, addr) = deserted(somewhere());
    let modes = [
        &["-c", "2", "-i", "0.02"][..],
        &["-c", "2", "-i", "0.02", "--connect"],
        &["-c", "2", "-i", "0.02", "--reconnect"],
        &["-w", "0.1"],
        &["--size-sweep"],
        &["--idle-sweep"],
    ];
    for mode in modes {
        let report = ping_to(addr, &[mode, &["--json"]].concat()).with(1).object();
        checked(std::slice::from_ref(&report));
        let target = report["targets"].get(0).unwrap_or(&report);
        assert_eq!(target["error"]["errno"], "ECONNREFUSED", "{mode:?}: {report}");
        assert_eq!(target["error"]["addr"], addr.to_string(), "{mode:?}: {report}");
        assert_eq!(target["diagnosis"]["case"], "nobody-listens-here", "{mode:?}: {report}");
    }
}

#[test]
fn sweeps_have_objects_too() {
    let ended = ping(&["--size-sweep=128", "--json-stream"]);
    assert_eq!(checked(&ended.with(0).objects()), ["step", "step", "sweep"]);
    let ended = ping(&["--idle-sweep=100ms", "--json-stream"]);
    assert_eq!(checked(&ended.with(0).objects()), ["step", "sweep"]);
}
