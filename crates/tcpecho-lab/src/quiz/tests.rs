use std::time::Duration;

use super::*;
use crate::timeline::Stream;

fn moment(place: Place, what: What) -> Moment {
    Moment { at: Duration::ZERO, place, what }
}

fn claim(sentence: &str, fact: Fact) -> Moment {
    let sentence = sentence.into();
    moment(Place::Lab, What::Claim { sentence, holds: true, note: String::new(), fact: Some(fact) })
}

/// A client that reads ECONNRESET and then end of file, and a server that is left in TIME_WAIT.
fn run() -> Vec<Moment> {
    let (client, other): (Arc<str>, Arc<str>) = ("agent".into(), "agent".into());
    let host = Place::Host(Side::Client);
    let input = |program: &Arc<str>, line: &str| {
        moment(host, What::Input { program: Arc::clone(program), line: line.into() })
    };
    let output = |program: &Arc<str>, line: &str| {
        let program = Arc::clone(program);
        moment(host, What::Output { program, stream: Stream::Out, line: line.into() })
    };
    let step = |text: &str| moment(Place::Lab, What::Step(text.into()));
    let time_wait = What::State {
        local: "192.0.2.1:7".parse().unwrap(),
        remote: "192.0.2.2:9".parse().unwrap(),
        before: None,
        now: Some(TcpState::TimeWait),
        sampled: false,
    };
    let in_state = |side, state| Fact::State { side, state };
    vec![
        step("the client reads"),
        input(&client, "recv 100"),
        input(&other, "recv 9"),
        output(&other, "ok 3 two"),
        output(&client, "ECONNRESET"),
        claim("recv fails", Fact::Answer("ECONNRESET".into())),
        input(&client, "recv 100"),
        output(&client, "ok 0"),
        claim("then it is end of file", Fact::Answer("ok 0".into())),
        step("it closes"),
        claim("an RST goes out", Fact::Packet { from: Side::Client, kind: "RST".into() }),
        moment(Place::Host(Side::Server), time_wait),
        claim("TIME_WAIT stays", in_state(Side::Server, TcpState::TimeWait)),
        step("nothing more"),
        claim("it is in FIN_WAIT_2, not FIN", in_state(Side::Client, TcpState::FinWait2)),
        claim("a counter", Fact::Answer("17".into())),
    ]
}

#[test]
fn claims_become_questions_whose_answers_were_seen() {
    let questions = questions(&run(), &mut Dice::new(1));
    let shown: Vec<_> = questions
        .iter()
        .map(|question| {
            let right = question.alternatives[question.right].as_str();
            (question.step, question.text.as_str(), right)
        })
        .collect();
    assert_eq!(
        shown,
        [
            (
                0,
                "Client 1 calls recv 100. What is the result?",
                "ECONNRESET: Connection reset by peer"
            ),
            (
                0,
                "Client 1 calls recv 100 again, for the second time. What is the result?",
                "end of file"
            ),
            (1, "Fill in: a ____ goes out", "RST"),
            (1, "Which end goes to TIME_WAIT in this step?", "the server's host"),
            (2, "Fill in: it is in ____, not FIN", "FIN_WAIT_2"),
        ]
    );
    for question in &questions {
        assert_eq!(question.alternatives.len(), ALTERNATIVES, "{question:?}");
        let mut once = question.alternatives.clone();
        once.sort();
        once.dedup();
        assert_eq!(once.len(), ALTERNATIVES, "{question:?}");
    }
}

#[test]
fn the_seed_orders_the_alternatives() {
    let alternatives = |seed| {
        let questions = questions(&run(), &mut Dice::new(seed));
        questions.into_iter().map(|question| question.alternatives).collect::<Vec<_>>()
    };
    assert_eq!(alternatives(3), alternatives(3));
    assert!((4..10).any(|seed| alternatives(seed) != alternatives(3)));
}

#[test]
fn a_claim_that_failed_is_not_asked_about() {
    let mut moments = run();
    for moment in &mut moments {
        if let What::Claim { holds, .. } = &mut moment.what {
            *holds = false;
        }
    }
    assert_eq!(questions(&moments, &mut Dice::new(1)), []);
}

/// The claims of a step with this sentence, all about packets or states.
fn asked_in(step: &str, claims: &[(&str, Fact)]) -> Vec<String> {
    let step = moment(Place::Lab, What::Step(step.into()));
    let claims = claims.iter().map(|(sentence, fact)| claim(sentence, fact.clone()));
    let moments: Vec<Moment> = [step].into_iter().chain(claims).collect();
    questions(&moments, &mut Dice::new(1)).into_iter().map(|question| question.text).collect()
}

#[test]
fn a_question_whose_answer_is_told_is_not_asked() {
    let packet = |kind: &str| Fact::Packet { from: Side::Server, kind: kind.into() };
    let state = |state| Fact::State { side: Side::Server, state };
    for (step, sentence, fact, asks) in [
        ("a segment arrives", "an RST answers it", packet("RST"), true),
        ("an RST arrives", "an RST answers it", packet("RST"), false),
        ("a segment arrives", "an RST answers the RST", packet("RST"), false),
        ("a segment arrives", "a challenge ACK answers it", packet("ACK"), false),
        ("it closes", "its end is in LAST_ACK", state(TcpState::LastAck), true),
        ("it closes", "its end is still in LAST_ACK", state(TcpState::LastAck), false),
        ("it closes", "it stays", state(TcpState::TimeWait), true),
        ("TIME_WAIT ends", "it stays", state(TcpState::TimeWait), false),
    ] {
        let asked = asked_in(step, &[(sentence, fact)]);
        assert_eq!(asked.len(), usize::from(asks), "{step}; {sentence}: {asked:?}");
    }
}

/// Nobody can work out what a program has sent.
#[test]
fn no_alternatives_differ_only_in_their_text() {
    let program: Arc<str> = "agent".into();
    let host = Place::Host(Side::Client);
    let mut moments = vec![moment(Place::Lab, What::Step("the client reads".into()))];
    for said in ["ok 5 hello", "ok 5 again", "ok 1 z"] {
        let stream = Stream::Out;
        let (asked, answer) = (Arc::clone(&program), Arc::clone(&program));
        moments.push(moment(host, What::Input { program: asked, line: "recv 100".into() }));
        moments.push(moment(host, What::Output { program: answer, stream, line: said.into() }));
    }
    moments.push(claim("it reads", Fact::Answer("ok 1 z".into())));
    let questions = questions(&moments, &mut Dice::new(1));
    let [question] = questions.as_slice() else { panic!("{questions:?}") };
    assert_eq!(question.alternatives[question.right], "data");
    assert!(!question.alternatives.iter().any(|one| one.contains("hello")), "{question:?}");
}
