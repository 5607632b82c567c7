//! Help, the starting page, the version, and usage errors.

use crate::{looks, looks_like, printed::PLACES, seen};

#[test]
fn help() {
    for verb in
        ["serve", "connect", "ping", "bench", "bench report", "man", "completions", "schema"]
    {
        let name = verb.replace(' ', "-");
        looks(&format!("help-{name}"), &format!("tcpecho {verb} --help"));
        looks(&format!("help-{name}-short"), &format!("tcpecho {verb} -h"));
    }
    looks("help", "tcpecho --help");
}

/// Others have the text of these.
#[test]
fn help_of_the_lab_fits() {
    for verb in ["", "run", "list", "explain", "learn", "shell", "test", "site", "doctor"] {
        for place in PLACES {
            let Some(text) = place.shows(&format!("tcpecho lab {verb} --help")) else { return };
            place.check(&text);
        }
    }
}

/// What the doctor finds depends on the host.
#[test]
fn the_doctor_fits() {
    for place in PLACES {
        let Some(text) = place.shows("tcpecho lab doctor") else { return };
        place.check(&text);
    }
}

#[test]
fn start_and_usage() {
    looks("start", "tcpecho");
    looks("usage", "tcpecho nonsense; tcpecho --nonsense; tcpecho ping -c 0; tcpecho ping -i soon");
}

#[test]
fn schemas() {
    looks("schema", "tcpecho schema; tcpecho schema nonsense; tcpecho man nonsense");
}

#[test]
fn version() {
    looks_like("version", "tcpecho --version; tcpecho -V", |text| {
        let known = |line: &String| !line.starts_with("not here: ");
        let without_commit = |line: String| line.split(" (").next().unwrap().to_owned();
        seen(text).into_iter().filter(known).map(without_commit).collect()
    });
}
