//! How often something may happen.

use std::time::Instant;

/// A token bucket: two seconds' worth at once, refilled steadily.
pub(crate) struct Bucket {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub(crate) fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            tokens: 2.0 * per_second,
            filled: Instant::now(),
        }
    }

    /// Takes one token; `false` if there is none.
    pub(crate) fn take(&mut self) -> bool {
        if self.tokens < 1.0 {
            let now = Instant::now();
            let gained = now.duration_since(self.filled).as_secs_f64() * self.per_second;
            self.tokens = (self.tokens + gained).min(2.0 * self.per_second);
            self.filled = now;
        }
        if self.tokens < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_empty_after_two_seconds_worth() {
        let mut bucket = Bucket::new(5);
        assert_eq!((0..20).filter(|_| bucket.take()).count(), 10);
    }

    #[test]
    fn a_bucket_fills_again() {
        let mut bucket = Bucket::new(1000);
        while bucket.take() {}
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(bucket.take());
    }
}
