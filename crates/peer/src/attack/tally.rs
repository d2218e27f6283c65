//! What became of the parts of an attack.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What became of the parts of an attack.
#[derive(Default)]
pub(super) struct Tally {
    outcomes: Mutex<BTreeMap<String, u64>>,
    ends: Mutex<BTreeMap<String, u64>>,
    frames_sent: AtomicU64,
    packets_sent: AtomicU64,
    bytes_sent: AtomicU64,
    bytes_received: AtomicU64,
}

impl Tally {
    /// Counts the outcome of one part.
    pub(super) fn note(&self, outcome: impl Into<String>) {
        count(&self.outcomes, outcome.into());
    }

    /// Counts how one flooded connection ended.
    pub(super) fn ended(&self, how: impl Into<String>) {
        count(&self.ends, how.into());
    }

    /// Counts the frames, streams or whatever else a flood is made of.
    pub(super) fn frames(&self, number: usize) {
        self.frames_sent.fetch_add(number as u64, Ordering::Relaxed);
    }

    /// Counts UDP packets.
    pub(super) fn packets(&self, number: u64) {
        self.packets_sent.fetch_add(number, Ordering::Relaxed);
    }

    pub(super) fn sent(&self, bytes: usize) {
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn received(&self, bytes: usize) {
        self.bytes_received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How often each outcome was.
    pub(super) fn outcomes(&self) -> BTreeMap<String, u64> {
        all(&self.outcomes)
    }

    /// How the flooded connections ended, and how often.
    pub(super) fn ends(&self) -> BTreeMap<String, u64> {
        all(&self.ends)
    }

    pub(super) fn frames_sent(&self) -> u64 {
        self.frames_sent.load(Ordering::Relaxed)
    }

    pub(super) fn packets_sent(&self) -> u64 {
        self.packets_sent.load(Ordering::Relaxed)
    }

    pub(super) fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed)
    }

    pub(super) fn bytes_received(&self) -> u64 {
        self.bytes_received.load(Ordering::Relaxed)
    }
}

fn count(counts: &Mutex<BTreeMap<String, u64>>, name: String) {
    *counts
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(name)
        .or_default() += 1;
}

fn all(counts: &Mutex<BTreeMap<String, u64>>) -> BTreeMap<String, u64> {
    counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
}
