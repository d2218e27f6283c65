//! A development certificate that is always a young one.

use std::fmt;
use std::sync::Mutex;
use std::time::SystemTime;

use super::{Identity, TlsError, Validity};
use crate::certificate::{DevCertificate, DevCertificateError};
use crate::sync::lock;

/// Tells the time: tests have clocks of their own.
type Clock = fn() -> SystemTime;

/// A development certificate and its successors. Each is replaced when somebody asks for it and two thirds of its 13 days
/// are over, or the clock went back to before its first day; no timer runs. Making one takes well below a millisecond.
pub struct DevelopmentIdentity {
    hosts: Vec<String>,
    clock: Clock,
    current: Mutex<Current>,
}

struct Current {
    identity: Identity,
    validity: Option<Validity>,
}

/// Why a development certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum DevelopmentError {
    /// It could not be generated.
    #[error(transparent)]
    Generate(#[from] DevCertificateError),
    /// It could not be read back.
    #[error(transparent)]
    Read(#[from] TlsError),
}

impl DevelopmentIdentity {
    /// Makes the first certificate, for this machine and `hosts`; see [`DevCertificate::generate`].
    ///
    /// # Errors
    /// When a host is neither an address nor a DNS name, or the operating system gives no random bytes.
    pub fn new(hosts: Vec<String>) -> Result<Self, DevelopmentError> {
        Self::with_clock(hosts, SystemTime::now)
    }

    fn with_clock(hosts: Vec<String>, clock: Clock) -> Result<Self, DevelopmentError> {
        let first = Current::generate(&hosts, clock())?;
        Ok(Self {
            hosts,
            clock,
            current: Mutex::new(first),
        })
    }

    /// The certificate to show now: the last one, or a new one if it is time. If no new one can be made, the old one stays,
    /// and the next call tries again.
    pub fn current(&self) -> Identity {
        let now = (self.clock)();
        let mut current = lock(&self.current);
        if current.is_due(now) {
            match Current::generate(&self.hosts, now) {
                Ok(next) => *current = next,
                Err(error) => tracing::warn!(%error, "the development certificate is not renewed"),
            }
        }
        current.identity.clone()
    }
}

impl Current {
    fn generate(hosts: &[String], now: SystemTime) -> Result<Self, DevelopmentError> {
        let made = DevCertificate::generate_at(now, hosts)?;
        let identity = Identity::from_pem_or_der(&made.cert_der, &made.key_der)?;
        let validity = identity.validity();
        Ok(Self { identity, validity })
    }

    /// Two thirds of its life are over, or it has not begun.
    fn is_due(&self, now: SystemTime) -> bool {
        let Some(Validity {
            not_before,
            not_after,
        }) = self.validity
        else {
            return false;
        };
        match now.duration_since(not_before) {
            Err(_) => true,
            Ok(age) => age * 3 >= not_after.duration_since(not_before).unwrap_or_default() * 2,
        }
    }
}

/// Leaves the key out.
impl fmt::Debug for DevelopmentIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DevelopmentIdentity")
            .field("hosts", &self.hosts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    thread_local! {
        static NOW: Cell<SystemTime> = Cell::new(SystemTime::now());
    }

    fn at(now: SystemTime) {
        NOW.set(now);
    }

    fn made() -> (DevelopmentIdentity, SystemTime) {
        let begin = NOW.get();
        (
            DevelopmentIdentity::with_clock(vec!["dev.example".to_owned()], || NOW.get()).unwrap(),
            begin,
        )
    }

    #[test]
    fn it_is_the_same_for_two_thirds_of_its_life_and_then_another() {
        let (development, begin) = made();
        let first = development.current().leaf_sha256();
        at(begin + 8 * DAY);
        assert_eq!(development.current().leaf_sha256(), first);
        at(begin + 9 * DAY);
        let second = development.current();
        assert_ne!(second.leaf_sha256(), first);
        assert_eq!(second.validity_problem(begin + 9 * DAY), None);
        assert_eq!(development.current().leaf_sha256(), second.leaf_sha256());
        at(begin + 18 * DAY);
        assert_ne!(development.current().leaf_sha256(), second.leaf_sha256());
    }

    #[test]
    fn one_that_nobody_asked_for_in_years_is_valid_when_somebody_does() {
        let (development, begin) = made();
        let now = begin + 1000 * DAY;
        at(now);
        assert_eq!(development.current().validity_problem(now), None);
    }

    #[test]
    fn a_clock_that_was_ahead_and_is_set_right_gets_a_certificate_that_is_valid() {
        let (development, begin) = made();
        let now = begin - 30 * DAY;
        at(now);
        assert_eq!(development.current().validity_problem(now), None);
    }

    #[test]
    fn a_clock_beyond_what_a_certificate_can_hold_leaves_the_old_one() {
        let (development, begin) = made();
        let first = development.current().leaf_sha256();
        at(SystemTime::UNIX_EPOCH - DAY);
        assert_eq!(development.current().leaf_sha256(), first);
        at(begin + 9 * DAY);
        assert_ne!(development.current().leaf_sha256(), first);
    }
}
