//! The arguments of `tcpecho bench report`.

use std::path::PathBuf;

use clap::Args;

/// Merge results of `tcpecho bench` into one: JSON results, and HDR logs of any HdrHistogram tool.
///
/// Counts and histograms are added exactly. Throughputs are added, too, as if all results were measured at the same time
/// (the parts of one run with --shard). Comparisons are merged with comparisons: the result has the rounds of all.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Results of --json, and logs of --hdr; - is stdin
    #[arg(value_name = "FILE", required = true)]
    pub(in crate::bench) files: Vec<PathBuf>,

    /// Write one JSON object instead of the table
    #[arg(long)]
    pub(in crate::bench) json: bool,

    /// Draw the latencies in the terminal
    #[arg(long)]
    pub(in crate::bench) plot: bool,

    /// Write one HTML page with the figures and plots to FILE
    #[arg(long, value_name = "FILE")]
    pub(in crate::bench) html: Option<PathBuf>,
}
