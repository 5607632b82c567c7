//! What only the program `tcpecho` needs. It is not a part of the public interface and changes without notice.

pub use crate::{
    bind::explain_bind,
    client::{lookup, relay},
    diagnosis::{CASES, Case},
    duration::{parse_duration, show_duration},
    ending::{ENDINGS, Row},
    endpoint::{interface_index, parse_listen, parse_source},
    evidence::{Kernel, Route, Stack, Towards},
    listener::LONGEST_USER_TIMEOUT,
};
