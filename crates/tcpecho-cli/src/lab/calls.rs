//! What a reader is shown of a timeline: system calls in one notation, and nothing twice.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tcpecho_lab::{
    Moment, Place, What,
    agent::Conversation,
    run::Run,
    timeline::{Follower, Stream},
};

/// Shows an agent's commands as the calls that they are, omits the lines that a traced program
/// reads and writes, because its calls show them, and joins the beginning and the end of a call if
/// nothing happened between.
#[derive(Default)]
pub(super) struct Tidy {
    observed: HashSet<(Place, Arc<str>)>,
    agents: HashMap<(Place, Arc<str>), Conversation>,
    /// A call that has begun, with nothing since.
    begun: Option<Moment>,
}

impl Tidy {
    /// Returns what to show after this moment, in order.
    pub(super) fn push(&mut self, moment: Moment) -> impl Iterator<Item = Moment> + use<> {
        if !self.is_shown(&moment) {
            return None.into_iter().chain(None);
        }
        let moment = self.as_call(moment);
        let before = self.begun.take();
        match (before, &moment.what) {
            (Some(before), What::Call(ends)) => {
                if let What::Call(begins) = &before.what
                    && before.place == moment.place
                    && let Some(whole) = begins.joined_with(ends)
                {
                    let whole = Moment { what: What::Call(whole), ..before };
                    return Some(whole).into_iter().chain(None);
                }
                self.keep_or_show(Some(before), moment)
            }
            (before, _) => self.keep_or_show(before, moment),
        }
    }

    fn keep_or_show(
        &mut self,
        before: Option<Moment>,
        moment: Moment,
    ) -> std::iter::Chain<std::option::IntoIter<Moment>, std::option::IntoIter<Moment>> {
        let begins = matches!(&moment.what, What::Call(call) if call.outcome().is_none());
        let now = if begins {
            self.begun = Some(moment);
            None
        } else {
            Some(moment)
        };
        before.into_iter().chain(now)
    }

    /// Returns the call that has begun, once its result is no longer awaited.
    pub(super) fn rest(&mut self) -> Option<Moment> {
        self.begun.take()
    }

    fn is_shown(&mut self, moment: &Moment) -> bool {
        match &moment.what {
            What::Observed { program } => {
                self.observed.insert((moment.place, Arc::clone(program)));
                true
            }
            What::Agent { program } => {
                let agent = (moment.place, Arc::clone(program));
                self.agents.insert(agent, Conversation::default());
                false
            }
            What::Input { program, .. } | What::Output { program, .. } => {
                !self.observed.contains(&(moment.place, Arc::clone(program)))
            }
            _ => true,
        }
    }

    fn as_call(&mut self, moment: Moment) -> Moment {
        let call = match &moment.what {
            What::Input { program, line } => self
                .agents
                .get_mut(&(moment.place, Arc::clone(program)))
                .and_then(|agent| agent.begins(program, line)),
            What::Output { program, line, stream: Stream::Out } => self
                .agents
                .get_mut(&(moment.place, Arc::clone(program)))
                .and_then(|agent| agent.ends(line)),
            _ => None,
        };
        match call {
            Some(call) => Moment { what: What::Call(call), ..moment },
            None => moment,
        }
    }
}

/// The moments of a run up to the end of the experiment, without duplicates.
pub(super) fn shown(run: &Run) -> Vec<Moment> {
    tidied(run.moments())
}

/// The moments of a complete timeline, without duplicates.
fn tidied(moments: Vec<Moment>) -> Vec<Moment> {
    let mut tidy = Tidy::default();
    let mut shown: Vec<Moment> = Vec::new();
    let experiment = moments.into_iter().take_while(|moment| !matches!(moment.what, What::Over));
    for moment in experiment {
        shown.extend(tidy.push(moment));
    }
    shown.extend(tidy.rest());
    shown
}

/// Follows a growing timeline: a call that has not returned after some milliseconds is shown as
/// waiting. `processed` is called after each moment, with the mark after it, whether it was shown,
/// omitted, or kept to be joined with the next.
pub(super) fn follow(
    mut moments: Follower,
    mut processed: impl FnMut(usize),
    mut show: impl FnMut(Moment) -> bool,
) {
    const SOON: Duration = Duration::from_millis(5);
    let mut tidy = Tidy::default();
    loop {
        let next = if let Some(moment) = moments.next(Some(SOON)) {
            moment
        } else {
            if !tidy.rest().is_none_or(&mut show) {
                return;
            }
            let Some(moment) = moments.next(None) else { return };
            moment
        };
        for moment in tidy.push(next) {
            if !show(moment) {
                return;
            }
        }
        processed(moments.mark());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tcpecho_lab::{
        Side,
        timeline::{CallMoment, Outcome, Phase, Stream},
    };

    fn at(side: Side, what: What) -> Moment {
        Moment { at: Duration::ZERO, place: Place::Host(side), what }
    }

    fn call(side: Side, phase: Phase) -> Moment {
        let (program, arguments) = (Arc::from("x"), "3".to_string());
        let call =
            CallMoment { program, task: None, name: "accept4", arguments, phase, injected: false };
        at(side, What::Call(call))
    }

    fn texts(moments: Vec<Moment>) -> Vec<String> {
        let text = |moment: Moment| match moment.what {
            What::Call(call) => call.to_string(),
            What::Output { line, .. } => line,
            What::Step(text) => text,
            _ => "-".into(),
        };
        tidied(moments).into_iter().map(text).collect()
    }

    fn returns() -> Phase {
        Phase::Returns(Outcome::Value(4, String::new()))
    }

    #[test]
    fn a_call_is_shown_as_one_if_nothing_comes_between() {
        let (client, server) = (Side::Client, Side::Server);
        let both = vec![call(server, Phase::Enters), call(server, returns())];
        assert_eq!(texts(both), ["accept4(3) = 4"]);
        let others = vec![call(client, Phase::Enters), call(server, returns())];
        assert_eq!(texts(others), ["accept4(3) …", "… accept4(3) = 4"]);
        let step = at(server, What::Step("step".into()));
        let between = vec![call(server, Phase::Enters), step, call(server, returns())];
        assert_eq!(texts(between), ["accept4(3) …", "step", "… accept4(3) = 4"]);
        assert_eq!(texts(vec![call(server, Phase::Enters)]), ["accept4(3) …"]);
    }

    #[test]
    fn an_agents_commands_are_calls_and_the_end_is_the_last() {
        let program = || Arc::from("x");
        let agent = at(Side::Server, What::Agent { program: program() });
        let command = at(Side::Server, What::Input { program: program(), line: "socket 4".into() });
        let stream = Stream::Out;
        let line = "ok 0 fd=3".into();
        let answer = at(Side::Server, What::Output { program: program(), stream, line });
        let step = at(Side::Server, What::Step("power off".into()));
        let all = vec![agent, command, answer, at(Side::Server, What::Over), step];
        assert_eq!(texts(all), ["socket(AF_INET) = fd 3"]);
    }

    #[test]
    fn lines_of_a_traced_program_are_omitted() {
        let line = |side| {
            let (program, stream, line) = (Arc::from("x"), Stream::Out, "said".into());
            at(side, What::Output { program, stream, line })
        };
        let observed = at(Side::Server, What::Observed { program: "x".into() });
        let said = vec![line(Side::Server), observed, line(Side::Server), line(Side::Client)];
        assert_eq!(texts(said), ["said", "-", "said"]);
    }
}
