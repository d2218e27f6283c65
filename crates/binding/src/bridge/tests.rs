use std::collections::HashSet;
use std::sync::mpsc;
use std::time::Duration;

use super::*;

const THREADS: u32 = 8;
const EVENTS: u32 = 20_000;

fn woken_by(bridge: &Bridge) -> mpsc::Receiver<()> {
    let (sender, woken) = mpsc::channel();
    bridge.set_wake(Some(Arc::new(move || {
        let _ = sender.send(());
    })));
    woken
}

fn event(generation: u32) -> ExchangeId {
    ExchangeId { slot: 7, generation }
}

/// A consumer that comes only when it is woken gets everything, whatever the threads do meanwhile.
#[test]
fn no_wake_up_is_lost_though_many_threads_push_at_once() {
    let bridge = Bridge::new();
    let woken = woken_by(&bridge);
    let producers: Vec<_> = (0..THREADS)
        .map(|thread| {
            let bridge = bridge.clone();
            std::thread::spawn(move || {
                for index in 0..EVENTS {
                    bridge.exchange_event(event(thread * EVENTS + index), ExchangeEvent::Drained);
                    // The end of a turn, at many different moments.
                    if index % (1 + thread * 7) == 0 || index + 1 == EVENTS {
                        bridge.wake_if_dirty();
                    }
                }
            })
        })
        .collect();
    let mut seen = HashSet::new();
    while seen.len() < (THREADS * EVENTS) as usize {
        woken
            .recv_timeout(Duration::from_secs(10))
            .unwrap_or_else(|_| panic!("nobody woke the consumer; it has {} events", seen.len()));
        for happened in bridge.take().happened {
            let Happened::Event(id, _) = happened else {
                panic!("an answer was refused that was never given")
            };
            assert!(seen.insert(id.generation), "event {} came twice", id.generation);
        }
    }
    for producer in producers {
        producer.join().unwrap();
    }
    assert!(bridge.take().happened.is_empty());
}

#[test]
fn what_happens_in_a_turn_wakes_once() {
    let bridge = Bridge::new();
    let woken = woken_by(&bridge);
    for generation in 0..10 {
        bridge.exchange_event(event(generation), ExchangeEvent::Drained);
    }
    assert!(woken.try_recv().is_err(), "woken before the turn ended");
    bridge.wake_if_dirty();
    bridge.wake_if_dirty();
    assert!(woken.try_recv().is_ok());
    assert!(woken.try_recv().is_err(), "woken twice");
    assert_eq!(bridge.take().happened.len(), 10);
}

#[test]
fn what_waits_while_nobody_listens_wakes_the_next_listener() {
    let bridge = Bridge::new();
    bridge.exchange_event(event(1), ExchangeEvent::Drained);
    bridge.wake_if_dirty();
    let woken = woken_by(&bridge);
    assert!(woken.try_recv().is_ok());
    assert_eq!(bridge.take().happened.len(), 1);
}

#[test]
fn a_full_queue_holds_connections_back_until_it_is_taken() {
    let bridge = Bridge::new();
    lock(&bridge.state).bytes = MAX_WAITING_BYTES;
    let (sender, woken) = mpsc::channel();
    let waker = Waker::from(Arc::new(Signal(sender)));
    let mut cx = Context::from_waker(&waker);
    assert!(bridge.poll_ready(&mut cx, &Portion::default()).is_pending());
    assert!(bridge.poll_ready(&mut cx, &Portion::default()).is_pending());
    bridge.take();
    assert!(woken.try_recv().is_ok());
    assert!(woken.try_recv().is_err(), "one waiter was woken twice");
    assert!(bridge.poll_ready(&mut cx, &Portion::default()).is_ready());
}

#[test]
fn a_connection_that_asks_much_waits_for_the_next_turn_and_others_do_not() {
    let bridge = Bridge::new();
    let (sender, woken) = mpsc::channel();
    let waker = Waker::from(Arc::new(Signal(sender)));
    let mut cx = Context::from_waker(&waker);
    let (busy, calm) = (Portion::default(), Portion::default());
    assert_eq!(used_up(&bridge, &busy, &mut cx), FIRST_PORTION);
    assert!(bridge.poll_ready(&mut cx, &calm).is_ready());
    bridge.take();
    assert!(woken.try_recv().is_ok());
    assert!(bridge.poll_ready(&mut cx, &busy).is_ready());
}

#[test]
fn a_portion_grows_while_turns_are_short_and_shrinks_behind_a_long_one() {
    let bridge = Bridge::new();
    let mut cx = Context::from_waker(Waker::noop());
    let busy = Portion::default();
    let mut after = |waited: Duration| {
        used_up(&bridge, &busy, &mut cx);
        lock(&bridge.state).last_wake = now().saturating_sub(waited.as_micros() as u64);
        bridge.take();
        used_up(&bridge, &busy, &mut cx)
    };
    // The clock of the process may be younger than that.
    now();
    std::thread::sleep(2 * SLOW);
    assert_eq!(after(2 * SLOW), FIRST_PORTION / 2);
    assert_eq!(after(2 * SLOW), LEAST_PORTION);
    assert_eq!(after(2 * SLOW), LEAST_PORTION);
    assert_eq!(after(Duration::ZERO), 2 * LEAST_PORTION);
    assert_eq!(after(Duration::ZERO), FIRST_PORTION);
    assert_eq!(after(Duration::ZERO), 2 * FIRST_PORTION);
    assert_eq!(after(Duration::ZERO), MOST_PORTION);
    assert_eq!(after(Duration::ZERO), MOST_PORTION);
    assert_eq!(after(2 * SLOW), FIRST_PORTION);
}

/// Hands over as many requests as there is room for.
fn used_up(bridge: &Bridge, portion: &Portion, cx: &mut Context<'_>) -> u32 {
    let mut handed = 0;
    while handed <= MAX_WAITING_REQUESTS as u32 && bridge.poll_ready(cx, portion).is_ready() {
        portion.count();
        handed += 1;
    }
    handed
}

struct Signal(mpsc::Sender<()>);

impl std::task::Wake for Signal {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

#[test]
fn a_turn_that_does_not_end_wakes_all_the_same() {
    let bridge = Bridge::new();
    let woken = woken_by(&bridge);
    begin_turn();
    bridge.exchange_event(event(1), ExchangeEvent::Drained);
    bridge.after_poll();
    assert!(woken.try_recv().is_err(), "woken at the beginning of a turn");
    std::thread::sleep(2 * LONG_TURN);
    bridge.after_poll();
    assert!(woken.try_recv().is_ok());
}

#[test]
fn a_stop_that_ends_late_does_not_silence_the_next_start() {
    let bridge = Bridge::new();
    let _first = woken_by(&bridge);
    let stopping = bridge.wake();
    let second = woken_by(&bridge);
    bridge.drop_wake(stopping);
    bridge.exchange_event(event(1), ExchangeEvent::Drained);
    bridge.wake_if_dirty();
    assert!(second.try_recv().is_ok());
}
