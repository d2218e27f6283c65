//! How long requests take, counted by route, method and class of status: a histogram for each that came.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use crate::sync::lock;

/// Upper bounds of the buckets: those that OpenTelemetry advises for `http.server.request.duration`, and two for fast servers.
const BOUNDS: [Duration; 16] = [
    Duration::from_micros(1_000),
    Duration::from_micros(2_500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(75),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_millis(750),
    Duration::from_millis(1_000),
    Duration::from_millis(2_500),
    Duration::from_millis(5_000),
    Duration::from_millis(7_500),
    Duration::from_millis(10_000),
];

/// Methods that have a name of their own here; a client can make up any number of others.
const METHODS: [&str; 9] = [
    "CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE",
];

/// Stands for every other method, as in OpenTelemetry's conventions, and for routes beyond [`MAX_SERIES`].
const OTHER: &str = "_OTHER";

static OTHER_ROUTE: LazyLock<Arc<str>> = LazyLock::new(|| OTHER.into());

/// Series, about 200 bytes each, above which routes that were not seen before are counted as one. Routes, methods and classes
/// bound the series of one routing; this bounds those of all that are reloaded.
const MAX_SERIES: usize = 4_096;

/// The histograms of a server. Written on the IO thread, for each request.
#[derive(Debug, Default)]
pub(crate) struct Durations(Mutex<HashMap<Key, Histogram>>);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    route: Option<Arc<str>>,
    method: &'static str,
    /// The first digit of the status; 0: no answer was begun.
    class: u8,
}

#[derive(Clone, Debug, Default)]
struct Histogram {
    /// One for each bound, and one for what is above all.
    buckets: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

/// One histogram at one moment.
#[derive(Clone, Debug)]
pub struct DurationSeries {
    /// The pattern of the route; `None`: no route matched. `_OTHER`: there were too many routes.
    pub route: Option<Arc<str>>,
    /// The method; `_OTHER`: one of those that HTTP does not name.
    pub method: &'static str,
    /// The first digit of the status; `None`: no answer was begun.
    pub status_class: Option<u8>,
    /// How many took at most as long as each bound, in seconds: cumulative, in rising order.
    pub buckets: Vec<(f64, u64)>,
    /// How many there were.
    pub count: u64,
    /// How long all of them took.
    pub sum: Duration,
}

impl Durations {
    pub(crate) fn count(
        &self,
        route: Option<&Arc<str>>,
        method: &[u8],
        status: Option<u16>,
        duration: Duration,
    ) {
        let mut key = Key {
            route: route.cloned(),
            method: METHODS
                .into_iter()
                .find(|known| known.as_bytes() == method)
                .unwrap_or(OTHER),
            class: status.map_or(0, |status| (status / 100) as u8),
        };
        let mut series = lock(&self.0);
        if series.len() >= MAX_SERIES && !series.contains_key(&key) {
            key.route = Some(OTHER_ROUTE.clone());
        }
        let histogram = series.entry(key).or_default();
        histogram.sum += duration;
        let bucket = BOUNDS.partition_point(|bound| *bound < duration);
        histogram.buckets[bucket] += 1;
    }

    /// All of them, in a stable order.
    pub(crate) fn snapshot(&self) -> Vec<DurationSeries> {
        let mut all: Vec<_> = lock(&self.0).iter().map(|(key, of)| of.series(key)).collect();
        all.sort_by(|a, b| (&a.route, a.method, a.status_class).cmp(&(&b.route, b.method, b.status_class)));
        all
    }
}

impl Histogram {
    fn series(&self, key: &Key) -> DurationSeries {
        let mut so_far = 0;
        let buckets = BOUNDS
            .iter()
            .zip(&self.buckets)
            .map(|(bound, count)| {
                so_far += count;
                (bound.as_secs_f64(), so_far)
            })
            .collect();
        DurationSeries {
            route: key.route.clone(),
            method: key.method,
            status_class: (key.class > 0).then_some(key.class),
            buckets,
            count: self.buckets.iter().sum(),
            sum: self.sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_every_bucket_from_its_own_on() {
        let durations = Durations::default();
        for ms in [0, 1, 2, 60, 10_000, 10_001] {
            durations.count(None, b"GET", Some(204), Duration::from_millis(ms));
        }
        let [series] = &durations.snapshot()[..] else {
            panic!("one series")
        };
        assert_eq!((series.count, series.sum.as_millis()), (6, 20_064));
        let counts: Vec<_> = series.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 3, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 5]);
        assert_eq!((series.method, series.status_class), ("GET", Some(2)));
    }

    #[test]
    fn methods_that_clients_make_up_are_one_series() {
        let durations = Durations::default();
        for method in [&b"A"[..], b"B", b"get"] {
            durations.count(None, method, None, Duration::ZERO);
        }
        let series = durations.snapshot();
        assert_eq!((series.len(), series[0].method, series[0].count), (1, OTHER, 3));
    }

    #[test]
    fn routes_beyond_the_bound_are_one_series() {
        let durations = Durations::default();
        for number in 0..MAX_SERIES + 100 {
            let route: Arc<str> = format!("/{number}").into();
            durations.count(Some(&route), b"GET", Some(200), Duration::ZERO);
        }
        let series = durations.snapshot();
        assert_eq!(series.len(), MAX_SERIES + 1);
        let others = series
            .iter()
            .find(|series| series.route.as_deref() == Some(OTHER));
        assert_eq!(others.unwrap().count, 100);
    }
}
