//! `serve --control`: a running server over HTTP and JSON. `schema/control.json` is its OpenAPI document.

mod api;
mod guard;
mod place;
mod plan;

use std::{io, sync::Arc};

use tcpecho::{ListenerFault, Server};

use self::{api::Api, guard::Guard};
pub(super) use self::{
    guard::Token,
    place::{Bound, Place},
    plan::ControlPlan,
};
use super::speech::Speech;
use crate::http::{HTTP_DESCRIPTORS, HttpServer, start};

/// Descriptors that control needs, besides one more for each connection that is served.
pub(super) const CONTROL_DESCRIPTORS: usize = HTTP_DESCRIPTORS;

/// Control of a running server. Dropping it ends all requests, and removes a Unix socket.
#[derive(Debug)]
pub(super) struct Control {
    _http: HttpServer,
    _bound: Bound,
}

impl Control {
    /// Serves what was bound.
    pub(super) fn start(
        mut bound: Bound,
        token: Option<Token>,
        server: &Arc<Server>,
        listener_fault: Option<ListenerFault>,
        speech: &Speech,
    ) -> io::Result<Self> {
        let guard = Guard::new(token);
        let api = Api::new(Arc::clone(server), listener_fault, speech.clone());
        let handler = move |request: crate::http::Request| match guard.refuse(&request) {
            Some(refusal) => refusal,
            None => api.answer(&request),
        };
        let http = start(bound.listener()?, Arc::new(handler))?;
        Ok(Control { _http: http, _bound: bound })
    }
}
