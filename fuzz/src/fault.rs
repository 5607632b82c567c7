//! Faults on demand: scripts, presets, and which connections get which.

use tcpecho::{Fault, FaultPlan, FaultWhen, Script};

use crate::{accepted, text, within};

/// A fault is displayed as it was written, and its steps can be written and read again.
pub fn fault(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let length = text.len();
    within(64 * length + (64 << 10), || {
        accepted(text.parse::<Fault>(), length).inspect(|fault| {
            if let Fault::Connections(plan) = fault {
                assert_eq!(plan.to_string(), text);
                check_plan(plan, text);
            }
            assert_eq!(fault.to_string().parse().as_ref(), Ok(fault));
        })
    });
    if let Some(script) = accepted(text.parse::<Script>(), length) {
        assert_eq!(script.to_string(), text);
        check_script(&script);
        // A script is a plan for all connections.
        let plan: FaultPlan = text.parse().expect("a script is a plan");
        assert_eq!(plan, FaultPlan::new(FaultWhen::All, script));
    }
    if let Some(when) = accepted(text.parse::<FaultWhen>(), length) {
        assert_eq!(when.to_string().parse(), Ok(when));
    }
}

fn check_plan(plan: &FaultPlan, text: &str) {
    assert_eq!(text.parse::<FaultPlan>().as_ref(), Ok(plan));
    assert!((1..=256).contains(&plan.rules().len()));
    for (when, script) in plan.rules() {
        check_script(script);
        // One rule alone is written from its parts.
        let alone = FaultPlan::new(*when, script.clone());
        assert_eq!(alone.to_string().parse(), Ok(alone));
    }
}

fn check_script(script: &Script) {
    assert!((1..=64).contains(&script.steps().len()));
    assert_eq!(script.to_string().parse::<Script>().as_ref(), Ok(script));
    assert!(!script.to_string().contains(char::is_control));
    // The builder takes what the parser takes.
    let steps = script.steps().iter().cloned();
    let built = steps.fold(Script::new(), Script::step);
    assert_eq!(built.to_string().parse::<Script>().as_ref(), Ok(script));
}
