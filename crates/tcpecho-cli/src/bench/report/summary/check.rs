//! A result from a file is what somebody wrote: figures that cannot be are refused, and texts are made fit
//! to be shown.

use tcpecho_load::Workload;

use super::{ErrorPart, Latency, Row, Summary};
use crate::bench::report::text::printable;

/// No figure of a run is larger.
const LARGEST: f64 = 1e18;

impl Summary {
    /// Refuses what cannot be the result of a run, and makes all texts fit to be shown.
    pub(in crate::bench) fn check(&mut self) -> Result<(), String> {
        if let Some(workload) = &self.settings.workload
            && Workload::named(workload).is_none()
        {
            let workload = printable(workload);
            return Err(format!("its workload \"{workload}\" is not one of bench's"));
        }
        if self.parts == 0 {
            return Err("it says that it is the sum of 0 results".to_owned());
        }
        self.check_figures()?;
        let each = &mut self.server.memory_bytes_per_connection;
        *each = each.filter(|each| *each > 0.0);
        self.make_printable();
        Ok(())
    }

    fn check_figures(&self) -> Result<(), String> {
        let (settings, server, client) = (&self.settings, &self.server, &self.client);
        let positive = [
            ("settings.rate_from_per_s", settings.rate_from_per_s),
            ("settings.rate_to_per_s", settings.rate_to_per_s),
            ("settings.duration_s", settings.duration_s),
            ("settings.warmup_s", settings.warmup_s),
            ("settings.timeout_s", settings.timeout_s),
            ("server.cpu_ns", server.cpu_ns),
            ("server.cpu_ns_per_unit", server.cpu_ns_per_unit),
            ("server.cpu_share", server.cpu_share),
            ("server.memory_before_bytes", server.memory_before_bytes),
            ("server.memory_held_bytes", server.memory_held_bytes),
            ("client.cpu_ns_per_unit", client.cpu_ns_per_unit),
            ("client.late_mean_ns", client.late_mean_ns),
            ("result.throughput_per_s", Some(self.result.throughput_per_s)),
            ("result.seconds", Some(self.result.seconds)),
            ("tcp.rtt_mean_us", self.tcp.rtt_mean_us),
        ];
        for (name, figure) in positive {
            within(name, figure, 0.0)?;
        }
        // It is a difference, which earlier versions wrote also where noise made it negative.
        let each = server.memory_bytes_per_connection;
        within("server.memory_bytes_per_connection", each, -LARGEST)?;
        if let Some(baseline) = &self.baseline {
            for change in baseline.changes.values() {
                within("baseline.changes", Some(*change), -1.0)?;
            }
        }
        self.intervals.iter().try_for_each(Row::check)
    }

    fn make_printable(&mut self) {
        let settings = &mut self.settings;
        let texts = [
            &mut self.version,
            &mut self.started,
            &mut settings.words,
            &mut self.server.words,
            &mut self.result.unit,
        ];
        let known = settings.driver.iter_mut().chain(&mut settings.close);
        texts.into_iter().chain(known).chain(&mut self.notes).for_each(clean);
        self.result.interrupted_by.iter_mut().for_each(clean);
        for ErrorPart { ending, first, .. } in &mut self.errors {
            clean(ending);
            clean(first);
        }
        let machine = std::mem::take(&mut self.machine).into_iter();
        self.machine = machine.map(|(name, fact)| (printable(&name), printable(&fact))).collect();
        if let Some(baseline) = &mut self.baseline {
            clean(&mut baseline.file);
            baseline.differences.iter_mut().for_each(clean);
            let changes = std::mem::take(&mut baseline.changes).into_iter();
            baseline.changes = changes.map(|(name, change)| (printable(&name), change)).collect();
        }
        let Latency { other, .. } = &mut self.latency;
        let tagged = std::mem::take(other).into_iter();
        *other = tagged.map(|(tag, times)| (printable(&tag), times)).collect();
    }
}

impl Row {
    fn check(&self) -> Result<(), String> {
        within("intervals.from_s", Some(self.from_s), 0.0)?;
        within("intervals.to_s", Some(self.to_s), self.from_s)?;
        within("intervals.throughput_per_s", Some(self.throughput_per_s), 0.0)?;
        within("intervals.offered_per_s", self.offered_per_s, 0.0)
    }
}

fn within(name: &str, figure: Option<f64>, least: f64) -> Result<(), String> {
    match figure {
        Some(figure) if !(least..=LARGEST).contains(&figure) => {
            Err(format!("its {name} is {figure:e}, which no run can give"))
        }
        _ => Ok(()),
    }
}

fn clean(text: &mut String) {
    *text = printable(text);
}
