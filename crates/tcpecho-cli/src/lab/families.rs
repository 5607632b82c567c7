//! The address families of a run: `--family`, and `-4` and `-6` as the other commands have them.

use clap::{Args, ValueEnum};
use tcpecho_lab::Family;

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Families {
    #[value(name = "4")]
    V4,
    #[value(name = "6")]
    V6,
    Both,
}

/// The families of a command that plays several runs.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct FamilyArgs {
    /// Address family
    #[arg(long, value_name = "FAMILY", value_enum, default_value = "4")]
    family: Families,

    #[command(flatten)]
    short: ShortFamily,
}

/// `-4` and `-6`. The command has an option `--family`.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct ShortFamily {
    /// The same as --family 4
    #[arg(short = '4', long, conflicts_with_all = ["ipv6", "family"])]
    ipv4: bool,

    /// The same as --family 6
    #[arg(short = '6', long, conflicts_with = "family")]
    ipv6: bool,
}

impl FamilyArgs {
    pub(super) fn families(self) -> Families {
        match self.short.family() {
            Some(Family::V4) => Families::V4,
            Some(Family::V6) => Families::V6,
            None => self.family,
        }
    }

    pub(super) fn list(self) -> &'static [Family] {
        match self.families() {
            Families::V4 => &[Family::V4],
            Families::V6 => &[Family::V6],
            Families::Both => &Family::BOTH,
        }
    }
}

impl ShortFamily {
    pub(super) fn family(self) -> Option<Family> {
        match self {
            ShortFamily { ipv4: true, .. } => Some(Family::V4),
            ShortFamily { ipv6: true, .. } => Some(Family::V6),
            _ => None,
        }
    }
}
