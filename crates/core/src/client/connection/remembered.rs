//! The settings that a server said before, which hold for early data until it says new ones.

use trilane_http3::{Code, Error, Settings};

use super::Task;
use crate::client::memory::Memory;
use crate::sync::lock;

pub(super) struct Remembered {
    memory: Memory,
    /// Those that early data goes by; `None` without early data, and once the new ones are compared.
    settings: Option<Settings>,
    /// The new ones are here, compared and kept.
    is_done: bool,
}

impl Remembered {
    pub(super) fn new(memory: Memory, is_early: bool) -> Self {
        Self {
            settings: memory.settings().filter(|_| is_early),
            memory,
            is_done: false,
        }
    }

    /// RFC9114-7.2.4.2-remembered-settings: what holds as long as the server has said nothing.
    pub(super) fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref()
    }

    /// The server took no early data: nothing of it can have gone against its settings.
    pub(super) fn drop_settings(&mut self) {
        self.settings = None;
    }
}

impl Task {
    /// Compares the settings that came with those that early data went by, and keeps them. Not before it is known whether the
    /// server took it.
    pub(super) fn compare_settings(&mut self) {
        if self.remembered.is_done || self.early.is_some() {
            return;
        }
        let Some(came) = lock(&self.state.peer_settings).clone() else {
            return;
        };
        self.remembered.is_done = true;
        // RFC9114-7.2.4.2-reduced-settings, RFC9297-2.1.1-client-0rtt
        if let Some(before) = self.remembered.settings.take()
            && came.reduce(&before)
        {
            self.remembered.memory.forget();
            return self.fail(&Error::connection(
                Code::H3_SETTINGS_ERROR,
                "settings below those of the resumed session",
            ));
        }
        self.remembered.memory.keep(&came);
    }
}
