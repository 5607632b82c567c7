//! Faults as they are written in one argument: scripts, presets, and which connections get which.

use std::{fmt, str::FromStr};

use super::{
    cursor::{Cursor, Read, read_all},
    listener_fault::ListenerFault,
    preset::{Named, Preset},
    script::Script,
    when::FaultWhen,
};
use crate::ParseError;

/// The most rules of a plan.
const MOST_RULES: usize = 256;

/// Which connections get which script: rules, of which the first that applies to a connection decides.
///
/// Written `WHEN:SCRIPT,WHEN:SCRIPT,...`; a script alone is for all connections. Two plans are equal if their rules are.
///
/// ```
/// use tcpecho::FaultPlan;
///
/// let plan: FaultPlan = "1:reset-after=10,2-5:delay=1s,every=7:echo 3; close".parse()?;
/// assert_eq!(plan.rules().len(), 3);
/// assert_eq!(plan.to_string(), "1:reset-after=10,2-5:delay=1s,every=7:echo 3; close");
/// # Ok::<(), tcpecho::ParseError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FaultPlan {
    rules: Vec<(FaultWhen, Script)>,
    /// As it was written, if it was.
    text: Option<Box<str>>,
}

impl PartialEq for FaultPlan {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl FaultPlan {
    /// Makes a plan of one rule.
    #[must_use]
    pub fn new(when: FaultWhen, script: Script) -> Self {
        FaultPlan { rules: vec![(when, script)], text: None }
    }

    /// Makes a plan of these rules.
    pub(super) fn of_rules(rules: Vec<(FaultWhen, Script)>) -> Self {
        FaultPlan { rules, text: None }
    }

    /// Returns the rules.
    #[must_use]
    pub fn rules(&self) -> &[(FaultWhen, Script)] {
        &self.rules
    }

    fn read(cursor: &mut Cursor<'_>) -> Read<Self> {
        cursor.skip_spaces();
        let mut rules = Vec::new();
        loop {
            let before = cursor.clone();
            if rules.len() == MOST_RULES {
                return Err(before.wrong(format!("a plan has at most {MOST_RULES} rules")));
            }
            let when = FaultWhen::read(cursor)?;
            if when.is_some() {
                cursor.skip_spaces();
                if !cursor.take(':') {
                    return Err(cursor.wrong("expected : and a script after the condition"));
                }
            }
            let script = read_script(cursor)?;
            let when = when.unwrap_or(FaultWhen::All);
            rules.push((when, script));
            let end = cursor.clone();
            cursor.skip_spaces();
            let comma = cursor.clone();
            if !cursor.take(',') {
                *cursor = end;
                return Ok(FaultPlan { rules, text: None });
            }
            if when == FaultWhen::All {
                return Err(comma.wrong(
                    "a rule after one for all connections would never apply; separate steps with ;, \
                     or begin each rule with its connections, such as every=3:",
                ));
            }
        }
    }
}

fn read_script(cursor: &mut Cursor<'_>) -> Read<Script> {
    cursor.skip_spaces();
    let before = cursor.clone();
    match Preset::read(cursor)? {
        None => Script::read(cursor),
        Some(Named::Script(script)) => Ok(script),
        Some(Named::Listener(fault)) => {
            Err(before.wrong(format!("{fault} is a fault of the listener, not of a connection")))
        }
    }
}

impl FromStr for Script {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let script = read_all("a script", text, read_script)?;
        Ok(script.written(text))
    }
}

impl FromStr for FaultPlan {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let plan = read_all("a fault", text, FaultPlan::read)?;
        Ok(FaultPlan { text: Some(text.into()), ..plan })
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        for (n, (when, script)) in self.rules.iter().enumerate() {
            let comma = if n > 0 { "," } else { "" };
            match when {
                FaultWhen::All => write!(f, "{comma}{script}")?,
                when => write!(f, "{comma}{when}:{script}")?,
            }
        }
        Ok(())
    }
}

/// A fault of a server: of its listener, or of its connections.
///
/// ```
/// use tcpecho::{Fault, ListenerFault};
///
/// assert_eq!("refuse".parse(), Ok(Fault::Listener(ListenerFault::Refuse)));
/// assert!(matches!("every=3:reset".parse()?, Fault::Connections(_)));
/// # Ok::<(), tcpecho::ParseError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// Scripts for connections.
    Connections(FaultPlan),
    /// A fault of the listener.
    Listener(ListenerFault),
}

impl FromStr for Fault {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        read_all("a fault", text, |cursor| {
            let mut ahead = cursor.clone();
            if let Ok(Some(Named::Listener(fault))) = Preset::read(&mut ahead) {
                *cursor = ahead;
                return Ok(Fault::Listener(fault));
            }
            let plan = FaultPlan::read(cursor)?;
            Ok(Fault::Connections(FaultPlan { text: Some(text.into()), ..plan }))
        })
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Connections(plan) => write!(f, "{plan}"),
            Fault::Listener(fault) => write!(f, "{fault}"),
        }
    }
}

#[cfg(test)]
mod tests;
