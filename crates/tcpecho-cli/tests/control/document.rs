//! The OpenAPI document: the one that is served is the one in docs/, it describes what is answered, and schemathesis finds
//! no violation of it.

use std::{fs, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{
    common::{server::program, *},
    http::{Control, serving},
    schema,
};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

#[test]
fn the_document_is_that_of_the_docs_and_names_this_version() {
    let (_server, control) = serving("epoll", somewhere(), &[]);
    let served = control.gets("/openapi.json");
    assert_eq!(served["openapi"], "3.1.0");
    assert_eq!(served["info"]["version"], env!("CARGO_PKG_VERSION"));
    let source = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema/control.json"));
    let source = source.unwrap();
    if std::env::var_os("TCPECHO_WRITE_DOCS").is_some() {
        fs::write(DOCS, &source).unwrap();
    }
    let docs = fs::read_to_string(DOCS).unwrap();
    assert!(
        docs == source,
        "docs/openapi.json is not schema/control.json; TCPECHO_WRITE_DOCS=1 writes it"
    );
    assert_eq!(served, serde_json::from_str::<Value>(&source).unwrap());
}

/// Every answer has the shape of its schema, and every path the methods that the document gives it.
#[test]
fn answers_have_the_shape_that_the_document_gives_them() {
    let (server, control) = serving("epoll", somewhere(), &[]);
    let document = control.gets("/openapi.json");
    control.puts("{\"fault\": \"1:reset-after=1,every=5:echo all\"}").with(200);
    let _first = server.connects();
    let client = server.connects();
    let id = control.session_of(&client);
    visits(server.addr());
    for (path, item) in document["paths"].as_object().unwrap() {
        let real = path.replace("{id}", &id.to_string());
        for method in ["GET", "PUT", "POST", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            let operation = item.get(method.to_lowercase());
            let answer = match method {
                "PUT" => control.puts("{\"fault\": \"reset\"}"),
                // That of the session is the last.
                _ => control.asks(method, &real),
            };
            if method == "PUT" && path != "/faults" {
                continue;
            }
            assert_eq!(operation.is_none(), answer.status == 405, "{method} {path}");
            let allow = answer.head.lines().find_map(|line| line.strip_prefix("allow: "));
            for allowed in allow.into_iter().flat_map(|all| all.split(", ")) {
                assert!(allowed == "head" || item.get(allowed).is_some(), "{path}: {allowed}");
            }
            let responses = operation.map_or(&item["get"]["responses"], |one| &one["responses"]);
            let mut response = &responses[answer.status.to_string()];
            if let Some(target) = response["$ref"].as_str() {
                response = document.pointer(&target[1..]).unwrap();
            }
            let wanted = &response["content"]["application/json"]["schema"];
            let found = schema::complaints_with(&document, wanted, &answer.body);
            assert!(found.is_empty(), "{method} {path}: {found:#?}");
        }
    }
}

/// schemathesis(1), if it is here. TCPECHO_SCHEMATHESIS names it where it is not in PATH.
fn schemathesis() -> Option<PathBuf> {
    let named = std::env::var_os("TCPECHO_SCHEMATHESIS").unwrap_or_else(|| "schemathesis".into());
    let runs = Command::new(&named).arg("--version").output().is_ok_and(|out| out.status.success());
    if !runs {
        println!(
            "SKIP: no schemathesis here (pip install schemathesis, or TCPECHO_SCHEMATHESIS=PATH)"
        );
    }
    runs.then(|| named.into())
}

/// Random requests that the document allows, and such that it does not: no violation, and the server still serves.
#[test]
fn schemathesis_finds_no_violation_of_the_document() {
    const TOKEN: &str = "correct-horse-battery";
    let Some(schemathesis) = schemathesis() else { return };
    for has_token in [false, true] {
        let mut command = Command::new(program());
        command.args(["serve", "-l", "127.0.0.1:0", "--control", "127.0.0.1:0"]);
        if has_token {
            command.env("TCPECHO_CONTROL_TOKEN", TOKEN);
        }
        let mut server = Serving::run(&mut command);
        let control = Control::of(&mut server);
        // Something to read and to reset.
        let clients: Vec<_> = (0..200).map(|_| server.connects()).collect();
        let work = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("schemathesis-{}-{has_token}", std::process::id()));
        fs::create_dir_all(&work).unwrap();
        let mut run = Command::new(&schemathesis);
        run.current_dir(&work)
            .env("PYTHONPATH", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/control"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SCHEMATHESIS_HOOKS", "formats")
            .args(["run", "--no-color", "--checks", "all", "--max-examples", "50", "--seed", "1"])
            .args(["--warnings", "off", "--continue-on-failure"])
            .arg(format!("http://{}/openapi.json", control.0));
        if has_token {
            run.args(["-H", &format!("Authorization: Bearer {TOKEN}")]);
        }
        let output = run.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\n{complained}");
        println!("{said}");
        fs::remove_dir_all(work).unwrap();
        drop(clients);
        let headers = format!("Host: localhost\r\nAuthorization: Bearer {TOKEN}\r\n");
        control.asks_with("DELETE", "/faults", &headers, "").with(200);
        visits(server.addr());
        server.stops().with(0);
    }
}

/// The parts of the document that name the program's tables.
#[test]
fn the_document_has_every_counter_and_field() {
    let (_server, control) = serving("epoll", somewhere(), &[]);
    let document = control.gets("/openapi.json");
    let counters = control.gets("/counters");
    let described = &document["components"]["schemas"]["counters"]["required"];
    let mut names: Vec<&str> = counters.as_object().unwrap().keys().map(String::as_str).collect();
    let mut wanted: Vec<&str> =
        described.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(json!(names), json!(wanted));
}
