//! The end of a JavaScript environment (a process, a worker): its servers end with it.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use napi::Env;

use crate::error::{Result, internal};
use crate::server::Shared;

/// The servers of one JavaScript thread.
#[derive(Default)]
struct Servers {
    list: Vec<Weak<Shared>>,
    /// The environment's clean-up hook is set; one serves all servers.
    is_hooked: bool,
}

thread_local! {
    static SERVERS: RefCell<Servers> = RefCell::default();
}

/// Has `server` end with `env`. Called at each start.
pub(crate) fn add(env: &Env, server: &Arc<Shared>) -> Result<()> {
    SERVERS.with_borrow_mut(|servers| {
        if !servers.is_hooked {
            env.add_env_cleanup_hook((), |()| abandon_all())
                .map_err(internal)?;
            servers.is_hooked = true;
        }
        let added = Arc::downgrade(server);
        servers
            .list
            .retain(|other| other.strong_count() > 0 && !other.ptr_eq(&added));
        servers.list.push(added);
        Ok(())
    })
}

/// Runs on the thread of the environment, before its runtime ends.
fn abandon_all() {
    let ended = SERVERS.with_borrow_mut(std::mem::take);
    for server in ended.list.iter().filter_map(Weak::upgrade) {
        server.abandon();
    }
}
