//! How long things took, in bounded memory.

/// Values below this are counted exactly; above it each doubling is split into half as many steps.
const STEPS: u32 = 128;
/// Every `u32`: 25 doublings above [`STEPS`].
const BUCKETS: usize = (STEPS + 25 * STEPS / 2) as usize;

/// A histogram of microseconds, exact below 128 µs and within 1.6 % above, in 14 KiB whatever it counts.
#[derive(Clone, Debug)]
pub(crate) struct Latency {
    buckets: Vec<u64>,
    count: u64,
    max: u32,
}

impl Latency {
    /// Nothing measured yet.
    pub(crate) fn new() -> Self {
        Self {
            buckets: vec![0; BUCKETS],
            count: 0,
            max: 0,
        }
    }

    /// Counts one duration.
    pub(crate) fn record(&mut self, duration: std::time::Duration) {
        let micros = u32::try_from(duration.as_micros()).unwrap_or(u32::MAX);
        self.buckets[bucket(micros)] += 1;
        self.count += 1;
        self.max = self.max.max(micros);
    }

    /// Adds what another histogram counted.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine += theirs;
        }
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    /// The value that this share (0 to 1) of everything does not exceed, in µs; 0 when nothing was counted.
    pub(crate) fn quantile(&self, share: f64) -> u32 {
        let rank = (self.count as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest(index).min(self.max);
            }
        }
        0
    }

    /// The longest of all, in µs.
    pub(crate) fn max(&self) -> u32 {
        self.max
    }

    /// How many were counted.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

fn bucket(micros: u32) -> usize {
    let doubling = micros
        .checked_ilog2()
        .unwrap_or(0)
        .saturating_sub(STEPS.ilog2() - 1);
    // Each doubling after the first uses only the upper half of its steps, so the halves chain without a gap.
    let step = micros >> doubling;
    (doubling * STEPS / 2 + step) as usize
}

fn highest(index: usize) -> u32 {
    let index = index as u32;
    if index < STEPS {
        return index;
    }
    let doubling = index / (STEPS / 2) - 1;
    let step = u64::from(index - doubling * STEPS / 2);
    u32::try_from(((step + 1) << doubling) - 1).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_value_is_within_its_bucket_and_buckets_grow_with_values() {
        let mut last = 0;
        for value in (0..5000).chain([65_535, 65_536, 1 << 20, u32::MAX - 1, u32::MAX]) {
            let index = bucket(value);
            assert!(index >= last && index < BUCKETS, "{value} is in {index}");
            let top = highest(index);
            assert!(
                top >= value && f64::from(top - value) <= f64::from(value) / 63.0,
                "{value} reads {top}"
            );
            last = index;
        }
    }

    #[test]
    fn quantiles_of_one_to_a_hundred_are_themselves() {
        let mut latency = Latency::new();
        for micros in 1..=100 {
            latency.record(Duration::from_micros(micros));
        }
        assert_eq!(latency.quantile(0.5), 50);
        assert!((99..=100).contains(&latency.quantile(0.99)));
        assert_eq!((latency.max(), latency.count()), (100, 100));
    }

    #[test]
    fn nothing_measured_reads_zero() {
        assert_eq!(Latency::new().quantile(0.99), 0);
    }
}
