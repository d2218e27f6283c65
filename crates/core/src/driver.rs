//! The tasks that quinn starts for a server: they run in its tokio runtime, and for a moment where something was just written.
//!
//! Who writes wakes the task that sends. In another thread than that of the runtime this costs a system call, a change of
//! threads and a turn of the runtime before the first byte leaves: [`drive_here`] spares them.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use futures_util::task::{ArcWake, waker_ref};
use quinn::{AsyncTimer, AsyncUdpSocket, Runtime, TokioRuntime};
use tokio::runtime::Handle;

use crate::sync::lock;

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

thread_local! {
    /// Whether drivers that are woken on this thread are gathered.
    static GATHERING: Cell<bool> = const { Cell::new(false) };
    static GATHERED: RefCell<Vec<Arc<Driver>>> = const { RefCell::new(Vec::new()) };
}

/// Does `write`, then drives those connections of servers here, on the thread of the caller, that have something to send by it: for
/// a few small answers while the thread of the runtime sleeps. Whatever is more work than that is left to the runtime; any thread
/// may call this, outside of tasks.
pub fn drive_here<Written>(write: impl FnOnce() -> Written) -> Written {
    let gathering = Gathering::begin();
    let written = write();
    drop(gathering);
    written
}

/// Drivers that are woken are gathered until this is dropped, and then polled.
struct Gathering;

impl Gathering {
    fn begin() -> Self {
        GATHERING.set(true);
        Self
    }
}

impl Drop for Gathering {
    fn drop(&mut self) {
        // What they wake in turn goes its usual way.
        GATHERING.set(false);
        let is_panicking = std::thread::panicking();
        for driver in GATHERED.take() {
            if is_panicking {
                driver.wake_task();
            } else {
                driver.poll_beside_task();
            }
        }
    }
}

/// One of quinn's tasks.
struct Driver {
    /// `None`: it is over.
    work: Mutex<Option<Work>>,
    /// The waker of the task in the runtime, which is the same for its whole life.
    task: OnceLock<Waker>,
}

impl Driver {
    fn new(work: Work) -> Arc<Self> {
        Arc::new(Self {
            work: Mutex::new(Some(work)),
            task: OnceLock::new(),
        })
    }

    /// Polls the work in the turn of its task; waits while another thread does, which is not longer than a packet takes.
    fn poll_in_task(self: &Arc<Self>) -> Poll<()> {
        poll(&mut lock(&self.work), self)
    }

    fn poll_beside_task(self: &Arc<Self>) {
        // Where the lock is taken the task has its turn, and may have looked already.
        if let Ok(mut work) = self.work.try_lock() {
            let polled = catch_unwind(AssertUnwindSafe(|| poll(&mut work, self)));
            drop(work);
            if matches!(polled, Ok(Poll::Pending)) {
                return;
            }
        }
        // Ends the task if the work is over; what panicked here panics there again, where it ends one task.
        self.wake_task();
    }

    fn wake_task(&self) {
        // A task that has not begun needs no waker.
        if let Some(task) = self.task.get() {
            task.wake_by_ref();
        }
    }
}

fn poll(work: &mut Option<Work>, driver: &Arc<Driver>) -> Poll<()> {
    let Some(future) = work else {
        return Poll::Ready(());
    };
    let polled = future.as_mut().poll(&mut Context::from_waker(&waker_ref(driver)));
    if polled.is_ready() {
        *work = None;
    }
    polled
}

impl ArcWake for Driver {
    fn wake_by_ref(driver: &Arc<Self>) {
        if GATHERING.get() {
            GATHERED.with_borrow_mut(|gathered| gathered.push(driver.clone()));
        } else {
            driver.wake_task();
        }
    }
}

/// The task in the runtime. Whatever ends it drops the work, which holds wakers of its own.
struct Task(Arc<Driver>);

impl Future for Task {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.task.get_or_init(|| cx.waker().clone());
        self.0.poll_in_task()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        let work = lock(&self.0.work).take();
        drop(work);
    }
}

/// quinn's runtime for a server.
#[derive(Debug)]
pub(crate) struct Drivers {
    runtime: Handle,
}

impl Drivers {
    /// Those of the tokio runtime that this is called in.
    pub(crate) fn new() -> Self {
        Self {
            runtime: Handle::current(),
        }
    }
}

impl Runtime for Drivers {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let _inside = self.runtime.enter();
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, future: Work) {
        self.runtime.spawn(Task(Driver::new(future)));
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn now(&self) -> Instant {
        TokioRuntime.now()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::mpsc;
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);

    /// Tells on which thread it is polled, and with which waker.
    struct Told {
        runtime: tokio::runtime::Runtime,
        polls: mpsc::Receiver<(ThreadId, Waker)>,
    }

    impl Told {
        /// The first poll, in the runtime, is over.
        fn spawn(mut and_then: impl FnMut() -> Poll<()> + Send + 'static) -> (Self, Waker) {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .build()
                .unwrap();
            let (tell, polls) = mpsc::channel();
            let mut is_first = true;
            let driver = Driver::new(Box::pin(poll_fn(move |cx| {
                tell.send((thread::current().id(), cx.waker().clone())).unwrap();
                match std::mem::take(&mut is_first) {
                    true => Poll::Pending,
                    false => and_then(),
                }
            })));
            runtime.spawn(Task(driver.clone()));
            let told = Self { runtime, polls };
            let (thread, waker) = told.next();
            assert_ne!(thread, thread::current().id());
            // It has told before its poll is over.
            drop(lock(&driver.work));
            (told, waker)
        }

        fn next(&self) -> (ThreadId, Waker) {
            self.polls.recv_timeout(PATIENCE).unwrap()
        }

        /// The work is dropped: its end of the channel is.
        fn ends(&self) {
            assert_eq!(
                self.polls.recv_timeout(PATIENCE).err(),
                Some(mpsc::RecvTimeoutError::Disconnected)
            );
        }
    }

    #[test]
    fn what_is_woken_while_writing_here_is_driven_here_and_then_in_the_runtime_again() {
        let (told, waker) = Told::spawn(|| Poll::Pending);
        let mut polls_before = None;
        let written = drive_here(|| {
            waker.wake_by_ref();
            polls_before = Some(told.polls.try_recv().is_ok());
            7
        });
        assert_eq!((written, polls_before), (7, Some(false)));
        assert_eq!(told.polls.try_recv().unwrap().0, thread::current().id());
        assert!(told.polls.try_recv().is_err());

        waker.wake_by_ref();
        assert_ne!(told.next().0, thread::current().id());
    }

    #[test]
    fn what_is_being_driven_elsewhere_is_left_to_the_runtime() {
        let (go_on, wait) = mpsc::channel::<()>();
        let (told, waker) = Told::spawn(move || {
            let _ = wait.recv_timeout(PATIENCE);
            Poll::Pending
        });
        waker.wake_by_ref();
        let inside = told.next().0;
        drive_here(|| waker.wake_by_ref());
        assert!(told.polls.try_recv().is_err());
        drop(go_on);
        assert_eq!(told.next().0, inside);
    }

    #[test]
    fn work_that_ends_here_ends_its_task() {
        let (told, waker) = Told::spawn(|| Poll::Ready(()));
        drive_here(|| waker.wake_by_ref());
        assert_eq!(told.next().0, thread::current().id());
        told.ends();
        drive_here(|| waker.wake_by_ref());
        waker.wake();
    }

    #[test]
    fn a_panic_of_what_is_driven_here_ends_its_task_and_nothing_here() {
        let (told, waker) = Told::spawn(|| panic!("driven"));
        drive_here(|| waker.wake_by_ref());
        assert_eq!(told.next().0, thread::current().id());
        // In the runtime it is polled once more, as any task that goes on, and ends.
        assert_ne!(told.next().0, thread::current().id());
        told.ends();
    }

    #[test]
    fn a_panic_of_who_writes_leaves_the_driving_to_the_runtime() {
        let (told, waker) = Told::spawn(|| Poll::Pending);
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            drive_here(|| {
                waker.wake_by_ref();
                panic!("written");
            })
        }));
        assert!(panicked.is_err());
        assert_ne!(told.next().0, thread::current().id());
    }

    #[test]
    fn the_end_of_the_runtime_drops_the_work_although_it_holds_its_own_waker() {
        let (told, waker) = Told::spawn(|| Poll::Pending);
        told.runtime.shutdown_timeout(PATIENCE);
        assert!(matches!(
            told.polls.recv_timeout(PATIENCE),
            Err(mpsc::RecvTimeoutError::Disconnected)
        ));
        drive_here(|| waker.wake_by_ref());
    }
}
