//! The metrics that a server reports to the `metrics` facade.

#![allow(unreachable_pub, clippy::panic)]

use std::collections::HashMap;

use metrics_util::debugging::{DebugValue, DebuggingRecorder};

/// Reports twice. Returns the last values by name and labels, all of which must have this path.
pub fn reported(path: &str, report: impl Fn()) -> HashMap<String, u64> {
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    metrics::with_local_recorder(&recorder, || {
        report();
        report();
    });
    let mut seen = HashMap::new();
    for (key, _, _, value) in snapshotter.snapshot().into_vec() {
        let labels: Vec<_> = key.key().labels().map(|label| label.value().to_owned()).collect();
        assert_eq!(labels[0], path);
        let name = [&[key.key().name().to_owned()], &labels[1..]].concat().join(" ");
        let value = match value {
            DebugValue::Counter(count) => count,
            DebugValue::Gauge(value) => value.0 as u64,
            DebugValue::Histogram(_) => panic!("{name} is a histogram"),
        };
        seen.insert(name, value);
    }
    seen
}
