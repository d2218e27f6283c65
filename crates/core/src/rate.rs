//! How often something may happen.

use std::time::Instant;

/// A token bucket: two seconds' worth at once, refilled steadily.
#[derive(Debug)]
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
        self.draw(1)
    }

    /// Takes `count` tokens; `false`, and none taken, if there are fewer. Reads the clock only then.
    pub(crate) fn draw(&mut self, count: u32) -> bool {
        let count = f64::from(count);
        if self.tokens < count {
            self.refill();
        }
        if self.tokens < count {
            return false;
        }
        self.tokens -= count;
        true
    }

    /// Whether more than `count` tokens of a full bucket are missing. Reads the clock only if they may be.
    #[inline]
    pub(crate) fn lacks(&mut self, count: u32) -> bool {
        let most = 2.0 * self.per_second - f64::from(count);
        if self.tokens >= most {
            return false;
        }
        self.refill();
        self.tokens < most
    }

    /// Adds `count` tokens, up to what the bucket holds.
    #[inline]
    pub(crate) fn earn(&mut self, count: u32) {
        self.tokens = (self.tokens + f64::from(count)).min(2.0 * self.per_second);
    }

    /// Settles a period in which `spent` tokens were used and `earned` came besides the steady refill: these first pay for
    /// each other. `false` if the bucket is overdrawn.
    pub(crate) fn settle(&mut self, spent: u64, earned: u64) -> bool {
        self.refill();
        let balance = self.tokens + earned as f64 - spent as f64;
        self.tokens = balance.clamp(0.0, 2.0 * self.per_second);
        balance >= 0.0
    }

    /// Whether half of what it holds was missing when it was last settled.
    pub(crate) fn is_half_empty(&self) -> bool {
        self.tokens < self.per_second
    }

    fn refill(&mut self) {
        let now = Instant::now();
        let gained = now.duration_since(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + gained).min(2.0 * self.per_second);
        self.filled = now;
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

    #[test]
    fn what_is_drawn_at_once_must_all_be_there() {
        let mut bucket = Bucket::new(5);
        assert!(!bucket.draw(11));
        assert!(bucket.draw(10));
        assert!(!bucket.draw(1));
    }

    #[test]
    fn what_is_earned_does_not_pile_up() {
        let mut bucket = Bucket::new(5);
        for _ in 0..100 {
            bucket.earn(8);
        }
        assert!(!bucket.draw(11));
    }

    #[test]
    fn what_was_earned_in_a_period_pays_for_what_was_spent_in_it() {
        let mut bucket = Bucket::new(5);
        assert!(bucket.settle(1_000, 1_000));
        assert!(bucket.settle(10, 0));
        assert!(!bucket.settle(10, 0));
    }
}
