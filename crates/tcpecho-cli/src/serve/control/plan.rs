//! What the arguments say about control.

use super::{guard::Token, place::Place};

/// What was asked for.
#[derive(Debug, Clone)]
pub(crate) struct ControlPlan {
    pub(crate) place: Place,
    pub(crate) token: Option<Token>,
}
