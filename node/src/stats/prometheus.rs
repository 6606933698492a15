//! Statistics as text for Prometheus (exposition format 0.0.4).

use std::fmt::Write as _;

use lanc_core::counters::Counters;

use super::{FunctionStats, Latency, Numbers, Stats, TransportStats};

/// Upper edges of the buckets that are told, as powers of two of a microsecond: from 64 µs by
/// fours to 67 s. At a power of two the counts are exact.
const EDGES: std::ops::RangeInclusive<u32> = 6..=26;
const EDGE_STEP: usize = 2;

impl Stats {
    /// The media type of [`Self::prometheus`].
    pub const PROMETHEUS_TYPE: &'static str = "text/plain; version=0.0.4; charset=utf-8";

    /// The statistics as Prometheus reads them: counters end in `_total`, times are in seconds.
    /// Peers are not told one by one: who comes and goes on a network would be a series each.
    pub fn prometheus(&self) -> String {
        let mut page = Page::default();
        page.about(self);
        page.counters(self);
        page.functions(self);
        page.transports(self);
        page.0
    }
}

/// What was written so far.
#[derive(Default)]
struct Page(String);

impl Page {
    fn about(&mut self, stats: &Stats) {
        self.family("lanc_info", "gauge", "Which node this is; its value is 1.");
        let about =
            [("node", &stats.node), ("session", &stats.session), ("version", &stats.version)];
        self.sample("lanc_info", &about.map(|(label, text)| (label, text.as_str())), "1");
        self.family("lanc_uptime_seconds", "gauge", "Time since the node was opened.");
        self.sample("lanc_uptime_seconds", &[], &seconds(stats.uptime_ms.saturating_mul(1000)));
        let table = |name: &str| stats.tables.get(name).copied().unwrap_or(0).to_string();
        self.family("lanc_peers", "gauge", "Peers.");
        self.sample("lanc_peers", &[], &table("peers"));
        self.family("lanc_queue_depth", "gauge", "Calls waiting for a place to run here.");
        self.sample("lanc_queue_depth", &[], &table("queued"));
        let help = "How much each table holds: entries, or bytes where its name says so.";
        self.numbers("lanc_table", "gauge", help, "table", &stats.tables);
    }

    fn counters(&mut self, stats: &Stats) {
        for (name, count) in &stats.counters {
            let known = Counters::HELP.iter().find(|(known, _)| known == name);
            let family = format!("lanc_{name}_total");
            self.family(&family, "counter", known.map_or("", |(_, help)| help.trim()));
            self.sample(&family, &[], &count.to_string());
        }
        let reasons = [
            ("lanc_dropped_total", "Frames received and dropped.", &stats.frames_dropped),
            (
                "lanc_messages_dropped_total",
                "Messages received and dropped.",
                &stats.messages_dropped,
            ),
        ];
        for (family, help, numbers) in reasons {
            self.numbers(family, "counter", help, "reason", numbers);
        }
        let results = [
            ("calls_ended", "Calls of this node that have ended.", &stats.calls_ended),
            (
                "attempts_ended",
                "Attempts of calls to several providers that have ended.",
                &stats.attempts_ended,
            ),
            ("calls_refused", "Calls received that did not become a task.", &stats.calls_refused),
            ("tasks_ended", "Functions of this node that have ended.", &stats.tasks_ended),
            ("tasks_unstarted", "Calls received that ended in the queue.", &stats.tasks_unstarted),
        ];
        for (name, help, numbers) in results {
            self.numbers(&format!("lanc_{name}_total"), "counter", help, "result", numbers);
        }
        let help = "How often a limit of the configuration was hit.";
        self.numbers("lanc_limit_hits_total", "counter", help, "limit", &stats.limits);
    }

    fn functions(&mut self, stats: &Stats) {
        let called = || stats.functions.iter().filter_map(|f| Some((f, f.called.as_ref()?)));
        let served = || stats.functions.iter().filter_map(|f| Some((f, f.served.as_ref()?)));
        let help = "Calls of a function from this node that have ended.";
        self.ends("lanc_calls_total", help, called().map(|(f, called)| (f, &called.ended)));
        let help = "Runs of a function of this node that have ended.";
        self.ends("lanc_runs_total", help, served().map(|(f, served)| (f, &served.ended)));
        let help = "From the call of a function to its outcome, at the caller.";
        self.latencies("lanc_call_seconds", help, called().map(|(f, c)| (f, &c.whole)));
        let help = "From the arrival of a call to the start of its function.";
        self.latencies("lanc_wait_seconds", help, served().map(|(f, s)| (f, &s.wait)));
        let help = "From the start of a function to its result.";
        self.latencies("lanc_run_seconds", help, served().map(|(f, s)| (f, &s.run)));
    }

    fn transports(&mut self, stats: &Stats) {
        let all = &stats.transports;
        let help = "What happened in a transport.";
        let counters = all.iter().map(|transport| (transport, &transport.counters));
        self.transport(("lanc_transport_total", "counter"), help, "event", counters);
        let help = "Frames lost in a transport, before the node saw them.";
        let dropped = all.iter().map(|transport| (transport, &transport.dropped));
        self.transport(("lanc_transport_dropped_total", "counter"), help, "reason", dropped);
        let help = "Sizes and states of a transport.";
        let gauges = all.iter().map(|transport| (transport, &transport.gauges));
        self.transport(("lanc_transport_state", "gauge"), help, "what", gauges);
    }

    fn transport<'s>(
        &mut self,
        (family, kind): (&str, &str),
        help: &str,
        label: &str,
        rows: impl Iterator<Item = (&'s TransportStats, &'s Numbers)>,
    ) {
        self.family(family, kind, help);
        for (transport, numbers) in rows {
            for (name, value) in numbers {
                let labels = [("transport", transport.scheme.as_str()), (label, name)];
                self.sample(family, &labels, &value.to_string());
            }
        }
    }

    fn ends<'s>(
        &mut self,
        family: &str,
        help: &str,
        rows: impl Iterator<Item = (&'s FunctionStats, &'s Numbers)>,
    ) {
        self.family(family, "counter", help);
        for (function, ended) in rows {
            for (result, count) in ended {
                let labels = [("name", function.name.as_str()), ("result", result)];
                self.sample(family, &labels, &count.to_string());
            }
        }
    }

    fn latencies<'s>(
        &mut self,
        family: &str,
        help: &str,
        rows: impl Iterator<Item = (&'s FunctionStats, &'s Latency)>,
    ) {
        self.family(family, "histogram", help);
        for (function, latency) in rows {
            let name = ("name", function.name.as_str());
            let bucket = format!("{family}_bucket");
            for edge in EDGES.step_by(EDGE_STEP).map(|power| 1 << power) {
                let labels = [name, ("le", &seconds(edge))];
                self.sample(&bucket, &labels, &latency.within(edge).to_string());
            }
            let count = latency.count.to_string();
            self.sample(&bucket, &[name, ("le", "+Inf")], &count);
            self.sample(&format!("{family}_sum"), &[name], &seconds(latency.sum_us));
            self.sample(&format!("{family}_count"), &[name], &count);
        }
    }

    fn numbers(&mut self, family: &str, kind: &str, help: &str, label: &str, numbers: &Numbers) {
        self.family(family, kind, help);
        for (name, value) in numbers {
            self.sample(family, &[(label, name)], &value.to_string());
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', r"\\").replace('\n', r"\n");
        // Writing to text cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: &str) {
        self.0.push_str(name);
        for (place, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let open = if place == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"{text}\"");
        }
        let close = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.0, "{close} {value}");
    }
}

/// Microseconds as seconds, without an exponent.
fn seconds(micros: u64) -> String {
    let (whole, rest) = (micros / 1_000_000, micros % 1_000_000);
    let text = format!("{whole}.{rest:06}");
    let short = text.trim_end_matches('0').trim_end_matches('.');
    short.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::CalledStats;

    #[test]
    fn seconds_are_exact() {
        let cases = [0, 1, 64, 1_000_000, 1_500_000, 67_108_864];
        let texts = ["0", "0.000001", "0.000064", "1", "1.5", "67.108864"];
        assert_eq!(cases.map(seconds), texts);
    }

    #[test]
    fn labels_and_histograms_are_as_prometheus_wants_them() {
        let numbers = |name: &str, count| Numbers::from([(name.to_owned(), count)]);
        let whole = Latency {
            count: 4,
            sum_us: 3_000_200,
            buckets: vec![(64, 1), (72, 2), (3_145_728, 1)],
            ..Latency::default()
        };
        let called = CalledStats { ended: numbers("ok", 4), whole, ..CalledStats::default() };
        let stats = Stats {
            node: "a \"b\"\\\n".to_owned(),
            counters: numbers("frames_sent", 7),
            frames_dropped: numbers("malformed", 2),
            transports: vec![TransportStats {
                scheme: "udp".to_owned(),
                dropped: numbers("kernel", 9),
                ..TransportStats::default()
            }],
            functions: vec![FunctionStats {
                name: "add".to_owned(),
                called: Some(called),
                ..FunctionStats::default()
            }],
            ..Stats::default()
        };
        let text = stats.prometheus();
        for line in [
            r#"lanc_info{node="a \"b\"\\\n",session="",version=""} 1"#,
            "# HELP lanc_frames_sent_total Frames given to transports.",
            "# TYPE lanc_frames_sent_total counter",
            "lanc_frames_sent_total 7",
            r#"lanc_dropped_total{reason="malformed"} 2"#,
            r#"lanc_transport_dropped_total{transport="udp",reason="kernel"} 9"#,
            r#"lanc_calls_total{name="add",result="ok"} 4"#,
            "# TYPE lanc_call_seconds histogram",
            r#"lanc_call_seconds_bucket{name="add",le="0.000064"} 1"#,
            r#"lanc_call_seconds_bucket{name="add",le="0.000256"} 3"#,
            r#"lanc_call_seconds_bucket{name="add",le="1.048576"} 3"#,
            r#"lanc_call_seconds_bucket{name="add",le="4.194304"} 4"#,
            r#"lanc_call_seconds_bucket{name="add",le="+Inf"} 4"#,
            r#"lanc_call_seconds_sum{name="add"} 3.0002"#,
            r#"lanc_call_seconds_count{name="add"} 4"#,
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with('\n'));
    }
}
