//! The one tokio runtime of the process: a single worker, the IO thread, shared by all servers of all JavaScript
//! threads. Started with the first JavaScript environment, ended with the last.
//!
//! One worker, because a second one costs 1 µs of CPU a request on two cores (2.2 against 3.2 µs): batches get
//! smaller and the threads hand work to each other.

use std::future::Future;
use std::pin::Pin;
use std::sync::Mutex;
use std::time::Duration;

use napi::bindgen_prelude::{AsyncRuntime, AsyncRuntimeRejection, AsyncRuntimeTask, register_async_runtime};
use napi::{Error, Result, Status};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::sync::lock;
use crate::{bridge, debug_output};

/// The worker ends between two polls; no task of ours blocks longer than one turn.
const SHUTDOWN: Duration = Duration::from_secs(1);

/// For what is said to peers when the last environment ends.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// A task of a connection, then quinn's own.
const LAST_TURNS: usize = 4;

static RUNTIME: Mutex<Option<Runtime>> = Mutex::new(None);

struct Backend;

// SAFETY: `shutdown` joins the only worker and drops every task with the runtime before it returns; nothing else
// of ours keeps wakers of those tasks beyond the addon's statics, and napi pins the addon's image.
unsafe impl AsyncRuntime for Backend {
    fn spawn(
        &self,
        task: AsyncRuntimeTask,
    ) -> std::result::Result<(), AsyncRuntimeRejection<AsyncRuntimeTask>> {
        match handle() {
            Ok(handle) => {
                handle.spawn(task);
                Ok(())
            }
            Err(error) => Err(AsyncRuntimeRejection::new(task, error)),
        }
    }

    fn block_on(&self, future: Pin<&mut dyn Future<Output = ()>>) -> Result<()> {
        handle()?.block_on(future);
        Ok(())
    }

    fn start(&self) -> Result<()> {
        let mut runtime = lock(&RUNTIME);
        if runtime.is_none() {
            let built = Builder::new_multi_thread()
                .worker_threads(1)
                .max_blocking_threads(4)
                .thread_name("trilane-io")
                .enable_io()
                .enable_time()
                .on_thread_unpark(bridge::begin_turn)
                .on_thread_park(bridge::end_turn)
                .build();
            *runtime = Some(built.map_err(|error| {
                Error::new(
                    Status::GenericFailure,
                    format!("cannot start the IO thread: {error}"),
                )
            })?);
        }
        Ok(())
    }

    fn shutdown(&self) -> Result<()> {
        let ended = lock(&RUNTIME).take();
        if let Some(runtime) = ended {
            runtime.block_on(last_turns());
            runtime.shutdown_timeout(SHUTDOWN);
        }
        Ok(())
    }
}

/// Waits until what was just closed has told its peers.
#[allow(dead_code, reason = "JavaScript calls what calls it")]
pub(crate) fn say_last_words() {
    // Without a runtime there is nothing to say.
    if let Ok(handle) = handle() {
        handle.block_on(last_turns());
    }
}

/// What was just closed woke tasks of quinn, which send CONNECTION_CLOSE: they get their turns before this ends.
async fn last_turns() {
    let turns = tokio::spawn(async {
        for _ in 0..LAST_TURNS {
            tokio::task::yield_now().await;
        }
    });
    // Late or not, the process ends.
    let _ = tokio::time::timeout(LAST_WORDS, turns).await;
}

/// A handle to the runtime, for as long as some JavaScript environment lives.
pub(crate) fn handle() -> Result<Handle> {
    let runtime = lock(&RUNTIME);
    let runtime = runtime
        .as_ref()
        .ok_or_else(|| Error::new(Status::Closing, "the process is shutting down".to_owned()))?;
    Ok(runtime.handle().clone())
}

#[napi_derive::module_init]
fn register() {
    debug_output::start();
    register_async_runtime(Backend);
}
