//! What a scenario says, as data: the page of `lab explain`, and the steps and claims that its play
//! function makes.

use crate::pace::Timer;
use crate::source::Passage;

/// What a scenario is about, in the order of `lab list`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// The handshake, ports and addresses.
    Startup,
    /// Lost, repeated and changed segments, and the window.
    Data,
    /// FIN, half-close and unread data.
    Closing,
    /// Processes and hosts that die.
    Failures,
    /// Signals and children of a server.
    Signals,
    /// The queues of a listening socket, and descriptors.
    Queues,
    /// Routers, middleboxes and the MTU.
    Path,
}

impl Group {
    /// All groups.
    pub const ALL: [Group; 7] = [
        Group::Startup,
        Group::Data,
        Group::Closing,
        Group::Failures,
        Group::Signals,
        Group::Queues,
        Group::Path,
    ];

    /// Its name.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Group::Startup => "startup",
            Group::Data => "data transfer",
            Group::Closing => "closing",
            Group::Failures => "failures",
            Group::Signals => "signals",
            Group::Queues => "queues",
            Group::Path => "path",
        }
    }
}

/// The text of a scenario or a trial.
///
/// The play function makes the same steps and claims (the macro `steps`).
#[derive(Debug)]
pub struct Text {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is about; `None` for a trial of a scenario, which has one.
    pub group: Option<Group>,
    /// The condition, in a few words.
    pub title: &'static str,
    /// Where the book or the RFC describes it.
    pub source: &'static str,
    /// The question that a student would ask.
    pub question: &'static str,
    /// What the book and the RFCs say; empty for a trial, whose scenario says it.
    pub book: &'static [Passage],
    /// What this kernel does; empty for a trial.
    pub kernel: &'static [Passage],
    /// The kernel's timers that it shortens, in the order in which it does.
    pub timers: &'static [Timer],
    /// Its steps, in order.
    pub steps: &'static [Step],
    /// The Rust module that it is written in.
    pub module: &'static str,
}

/// A step and the claims that belong to it.
#[derive(Debug)]
pub struct Step {
    /// What is done.
    pub does: &'static str,
    /// What must hold afterwards, each once. A claim that depends on the address family stands here too.
    pub claims: &'static [&'static str],
}

impl Text {
    /// What a text is without its fields: no timers, and for a trial no answers of its own.
    pub(crate) const EMPTY: Text = Text {
        name: "",
        group: None,
        title: "",
        source: "",
        question: "",
        book: &[],
        kernel: &[],
        timers: &[],
        steps: &[],
        module: "",
    };

    /// The file that it is written in, from the root of the repository.
    #[must_use]
    pub fn file(&self) -> String {
        let mut parts = self.module.split("::").skip(1);
        let (kind, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        format!("crates/tcpecho-lab/src/{kind}/{name}.rs")
    }

    /// The step of these words.
    #[must_use]
    pub fn step(&self, does: &str) -> Option<&'static Step> {
        self.steps.iter().find(|step| step.does == does)
    }

    /// Every claim with its step, in order.
    pub fn claims(&self) -> impl Iterator<Item = (&'static Step, &'static str)> + use<> {
        let steps = self.steps.iter();
        steps.flat_map(|step| step.claims.iter().map(move |claim| (step, *claim)))
    }
}

/// Defines `STEPS`, the steps of a text, and `play`, the function that makes them: each sentence
/// stands once.
///
/// `step "...";` begins a step, and `claim_x("...", ...);` is one of its claims: it calls the method
/// of that name. A claim that is made in a block or twice calls the method itself, and is announced
/// by `claims "...";`. Everything else is a statement, and a block ends with a semicolon.
macro_rules! steps {
    // $steps are those that are complete, $does [$said] is the one that is being read.
    (@ $stage:ident $kind:ident [$($steps:tt)*] $does:literal [$($said:literal)*] {$($body:tt)*}
        step $next:literal; $($rest:tt)*) => {
        $crate::text::steps! { @ $stage $kind [$($steps)* $does [$($said)*]] $next []
            {$($body)* $stage.step($next);} $($rest)* }
    };
    (@ $stage:ident $kind:ident [$($steps:tt)*] $does:literal [$($said:literal)*] {$($body:tt)*}
        claims $($sentence:literal),+; $($rest:tt)*) => {
        $crate::text::steps! { @ $stage $kind [$($steps)*] $does [$($said)* $($sentence)+]
            {$($body)*} $($rest)* }
    };
    (@ $stage:ident $kind:ident [$($steps:tt)*] $does:literal [$($said:literal)*] {$($body:tt)*}
        $claim:ident($sentence:literal $($with:tt)*); $($rest:tt)*) => {
        $crate::text::steps! { @ $stage $kind [$($steps)*] $does [$($said)* $sentence]
            {$($body)* $stage.$claim($sentence $($with)*);} $($rest)* }
    };
    (@ $stage:ident $kind:ident [$($steps:tt)*] $does:literal [$($said:literal)*] {$($body:tt)*}
        $claim:ident($sentence:literal $($with:tt)*)?; $($rest:tt)*) => {
        $crate::text::steps! { @ $stage $kind [$($steps)*] $does [$($said)* $sentence]
            {$($body)* $stage.$claim($sentence $($with)*)?;} $($rest)* }
    };
    (@ $stage:ident $kind:ident [$($steps:tt)*] $does:literal [$($said:literal)*] {$($body:tt)*}
        let $name:pat = $value:expr; $($rest:tt)*) => {
        $crate::text::steps! { @ $stage $kind [$($steps)*] $does [$($said)*]
            {$($body)* let $name = $value;} $($rest)* }
    };
    (@ $stage:ident $kind:ident [$($steps:tt)*] $does:literal [$($said:literal)*] {$($body:tt)*}
        let $name:ident: $type:ty = $value:expr; $($rest:tt)*) => {
        $crate::text::steps! { @ $stage $kind [$($steps)*] $does [$($said)*]
            {$($body)* let $name: $type = $value;} $($rest)* }
    };
    (@ $stage:ident $kind:ident [$($steps:tt)*] $does:literal [$($said:literal)*] {$($body:tt)*}
        let mut $name:ident: $type:ty = $value:expr; $($rest:tt)*) => {
        $crate::text::steps! { @ $stage $kind [$($steps)*] $does [$($said)*]
            {$($body)* let mut $name: $type = $value;} $($rest)* }
    };
    (@ $stage:ident $kind:ident [$($steps:tt)*] $does:literal [$($said:literal)*] {$($body:tt)*}
        $call:expr; $($rest:tt)*) => {
        $crate::text::steps! { @ $stage $kind [$($steps)*] $does [$($said)*]
            {$($body)* $call;} $($rest)* }
    };
    (@ $stage:ident $kind:ident [$($before:literal [$($old:literal)*])*] $does:literal
        [$($said:literal)*] {$($body:tt)*}) => {
        const STEPS: &[$crate::text::Step] = &[
            $($crate::text::Step { does: $before, claims: &[$($old),*] },)*
            $crate::text::Step { does: $does, claims: &[$($said),*] },
        ];
        fn play($stage: &mut $kind) -> $crate::stage::Played {
            $($body)*
            // Before the programs of the body are dropped.
            $stage.end();
            Ok(())
        }
    };
    ($stage:ident: $kind:ident; step $does:literal; $($rest:tt)*) => {
        $crate::text::steps! { @ $stage $kind [] $does [] {$stage.step($does);} $($rest)* }
    };
}
pub(crate) use steps;
