//! The end of a JavaScript environment (a process, a worker): its servers and clients end with it.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use napi::Env;

use crate::error::{Result, internal};

/// What ends with its environment.
pub(crate) trait Abandon: Send + Sync {
    /// No port stays bound, no connection open, and nobody calls a thread that is gone.
    fn abandon(&self);
}

/// The servers and clients of one JavaScript thread.
#[derive(Default)]
struct Owned {
    list: Vec<Weak<dyn Abandon>>,
    /// The environment's clean-up hook is set; one serves all.
    is_hooked: bool,
}

thread_local! {
    static OWNED: RefCell<Owned> = RefCell::default();
}

/// Has `one` end with `env`. Called at each start.
pub(crate) fn add(env: &Env, one: Arc<dyn Abandon>) -> Result<()> {
    OWNED.with_borrow_mut(|owned| {
        if !owned.is_hooked {
            env.add_env_cleanup_hook((), |()| abandon_all())
                .map_err(internal)?;
            owned.is_hooked = true;
        }
        let added = Arc::downgrade(&one);
        owned
            .list
            .retain(|other| other.strong_count() > 0 && !other.ptr_eq(&added));
        owned.list.push(added);
        Ok(())
    })
}

/// Runs on the thread of the environment, before its runtime ends.
fn abandon_all() {
    let ended = OWNED.with_borrow_mut(std::mem::take);
    for one in ended.list.iter().filter_map(Weak::upgrade) {
        one.abandon();
    }
}
