//! The end of a JavaScript environment (a process, a worker): its servers and clients end with it.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use napi::Env;
use napi_derive::napi;

use crate::error::{Result, internal};
use crate::runtime;

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
            env.add_env_cleanup_hook((), |()| {
                abandon_all();
            })
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

/// Ends every server and client of this JavaScript thread, and says so to their peers (CONNECTION_CLOSE, RFC 9000 §10.2). Takes
/// a tenth of a second at most.
#[napi]
#[allow(dead_code, unreachable_pub, reason = "JavaScript calls it")]
pub fn leave() {
    if abandon_all() {
        runtime::say_last_words();
    }
}

/// Runs on the thread of the environment, before its runtime ends. Whether there was anything to abandon.
fn abandon_all() -> bool {
    let ended = OWNED.with_borrow_mut(std::mem::take);
    let mut any = false;
    for one in ended.list.iter().filter_map(Weak::upgrade) {
        one.abandon();
        any = true;
    }
    any
}
