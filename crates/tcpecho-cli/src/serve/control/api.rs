//! The paths, and what each answers.

use std::sync::Arc;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use tcpecho::{Fault, FaultPlan, FaultWhen, ListenerFault, LiveSession, PRESETS, Server};

use super::super::{faults::with_condition, speech::Speech};
use crate::http::{Request, Response};

/// The OpenAPI document; docs/openapi.json is a copy.
const DOCUMENT: &str = include_str!("../../../schema/control.json");

/// What a server can be asked.
pub(super) struct Api {
    server: Arc<Server>,
    listener_fault: Option<ListenerFault>,
    speech: Speech,
}

/// The body of `PUT /faults`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object")]
struct SetFaults {
    fault: String,
    #[serde(default, deserialize_with = "not_null")]
    when: Option<String>,
}

/// A field that may be missing, and is not null.
fn not_null<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    String::deserialize(value).map(Some)
}

impl Api {
    pub(super) fn new(
        server: Arc<Server>,
        listener_fault: Option<ListenerFault>,
        speech: Speech,
    ) -> Self {
        Api { server, listener_fault, speech }
    }

    pub(super) fn answer(&self, request: &Request) -> Response {
        // hyper leaves the body out.
        let method = if request.method == "HEAD" { "GET" } else { &request.method };
        let response = match (request.path.as_str(), method) {
            ("/openapi.json", "GET") => Response::new(200, "application/json", DOCUMENT),
            ("/presets", "GET") => Response::json(200, &presets()),
            ("/counters", "GET") => Response::json(200, &self.counters()),
            ("/faults", "GET") => Response::json(200, &self.faults()),
            ("/faults", "PUT") => self.set_faults(request).unwrap_or_else(|refusal| refusal),
            ("/faults", "DELETE") => self.replace_faults(None).unwrap_or_else(|refusal| refusal),
            ("/sessions", "GET") => Response::json(200, &self.sessions()),
            ("/faults", _) => not_allowed("GET, HEAD, PUT, DELETE"),
            ("/openapi.json" | "/presets" | "/counters" | "/sessions", _) => {
                not_allowed("GET, HEAD")
            }
            (path, method) => match path.strip_prefix("/sessions/") {
                Some(id) => self.session(id, method),
                None => Response::error(
                    404,
                    "there is no such path: /openapi.json describes /faults, /presets, /counters and /sessions",
                ),
            },
        };
        response.with("cache-control", "no-store").with("x-content-type-options", "nosniff")
    }

    fn faults(&self) -> Value {
        let plan = self.server.fault_plan();
        let rule = |(when, script): &(FaultWhen, tcpecho::Script)| json!({ "when": when.to_string(), "script": script.to_string() });
        json!({
            "fault": plan.as_ref().map(ToString::to_string),
            "rules": plan.iter().flat_map(FaultPlan::rules).map(rule).collect::<Vec<_>>(),
            "listener_fault": self.listener_fault.map(|fault| fault.to_string()),
            "seed": self.server.seed(),
        })
    }

    fn set_faults(&self, request: &Request) -> Result<Response, Response> {
        let types: Vec<&[u8]> = request.headers("content-type").collect();
        if !matches!(types[..], [one] if is_json(one)) {
            return Err(Response::error(415, "send the header content-type: application/json"));
        }
        let asked: SetFaults = serde_json::from_slice(&request.body).map_err(|error| {
            let sentence = format!(
                "the body is not what is expected: {error}; send {{\"fault\": \"SCRIPT|PRESET\"}}, with \"when\" if it is not for all connections"
            );
            Response::error(400, &sentence)
        })?;
        let invalid = |sentence: String| Response::error(422, &sentence);
        let fault: Fault = asked.fault.parse().map_err(|error| invalid(format!("{error}")))?;
        let Fault::Connections(plan) = fault else {
            return Err(invalid(format!(
                "{fault} is a fault of the listener, which only the start can set: tcpecho serve --fault {fault}"
            )));
        };
        let plan = match asked.when {
            None => plan,
            Some(text) => {
                let when = text.parse().map_err(|error| invalid(format!("{error}")))?;
                with_condition(&plan, when).ok_or_else(|| {
                    invalid(format!("when {text:?}: the fault names its connections itself"))
                })?
            }
        };
        self.replace_faults(Some(&plan))
    }

    fn replace_faults(&self, plan: Option<&FaultPlan>) -> Result<Response, Response> {
        if let (Some(_), Some(fault)) = (plan, self.listener_fault)
            && !matches!(fault, ListenerFault::AcceptDelay(_))
        {
            let sentence = format!(
                "the server was started with --fault {fault} and accepts no connection: start it without that fault"
            );
            return Err(Response::error(409, &sentence));
        }
        if let Err(error) = self.server.set_faults(plan) {
            let sentence =
                format!("{error}: nothing was changed; try again when connections have ended");
            return Err(Response::error(503, &sentence));
        }
        match plan {
            Some(plan) => self.speech.fault(&plan.to_string(), self.server.seed()),
            None => self.speech.no_fault(),
        }
        Ok(Response::json(200, &self.faults()))
    }

    fn counters(&self) -> Value {
        let stats = self.server.stats();
        let endings: serde_json::Map<String, Value> =
            stats.endings.iter().map(|(ending, n)| (ending.word().into(), (*n).into())).collect();
        json!({
            "accepted": stats.accepted,
            "active": stats.active,
            "refused": stats.refused,
            "bytes": stats.bytes,
            "accept_failures": stats.accept_failures,
            "faults": stats.faults,
            "endings": endings,
        })
    }

    fn sessions(&self) -> Value {
        let sessions: Vec<Value> = self.server.live().iter().map(session).collect();
        json!({ "sessions": sessions })
    }

    fn session(&self, id: &str, method: &str) -> Response {
        if !matches!(method, "GET" | "DELETE") {
            return not_allowed("GET, HEAD, DELETE");
        }
        let missing = || {
            Response::error(
                404,
                "there is no such session, or it has ended: /sessions lists those that are served",
            )
        };
        let live = self.server.live();
        let found = id.parse().ok().and_then(|id: u64| live.iter().find(|live| live.id == id));
        match found {
            Some(found) if method == "GET" => Response::json(200, &session(found)),
            Some(found) if self.server.reset(found.id) => Response::json(200, &session(found)),
            _ => missing(),
        }
    }
}

fn session(live: &LiveSession) -> Value {
    json!({
        "id": live.id,
        "peer": live.peer.to_string(),
        "local": live.local.to_string(),
        "age_us": u64::try_from(live.age.as_micros()).unwrap_or(u64::MAX),
        "fault": live.fault.as_ref().map(ToString::to_string),
    })
}

fn presets() -> Value {
    let preset = |preset: &tcpecho::Preset| {
        json!({
            "name": preset.name,
            "parameter": preset.parameter,
            "example": preset.example,
            "sentence": preset.sentence,
            "ending": preset.ending.word(),
            "listener": preset.script().is_none(),
        })
    };
    json!({ "presets": PRESETS.iter().map(preset).collect::<Vec<_>>() })
}

fn is_json(content_type: &[u8]) -> bool {
    let media_type = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    media_type.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

fn not_allowed(methods: &'static str) -> Response {
    Response::error(405, &format!("this path takes {methods}")).with("allow", methods)
}
