//! Keeps the pool's threads awake while a plan is executed.
//!
//! A step is many short phases with little between them, and a thread that has gone to sleep takes longer to wake than
//! a phase lasts. The pool's other threads therefore look for work until the execution ends; a thread that found none
//! for a while sleeps in short naps, so that it leaves the processor to others, and at last gives up: it may be looking
//! in the midst of a job of the execution itself, which it took up before it got to look, and which would never end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// How often a thread looks for work before it naps: a few hundred microseconds.
const LOOKS: u32 = 1000;
/// Pauses between two looks.
const PAUSES: u32 = 8;
const NAP: Duration = Duration::from_micros(50);
/// How often a thread naps in vain before it gives up: some milliseconds.
const NAPS: u32 = 100;

/// Says that the execution is over, however it ends.
struct Over(Arc<AtomicBool>);

impl Drop for Over {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Runs `task` on this thread while the other threads of the current pool stay awake. It does not wait for them: what one
/// of them found to do may belong to another execution.
pub(crate) fn while_awake<R>(task: impl FnOnce() -> R) -> R {
    let over = Over(Arc::default());
    let seen = Arc::clone(&over.0);
    let this = rayon::current_thread_index();
    rayon::spawn_broadcast(move |context| {
        // This thread executes its copy, if at all, while it waits for others, and must not wait for itself.
        if Some(context.index()) != this {
            look_for_work(&seen);
        }
    });
    task()
}

fn look_for_work(over: &AtomicBool) {
    let mut in_vain = 0;
    while !over.load(Ordering::Acquire) {
        if rayon::yield_now() == Some(rayon::Yield::Executed) {
            in_vain = 0;
        } else if in_vain < LOOKS {
            in_vain += 1;
            (0..PAUSES).for_each(|_| std::hint::spin_loop());
        } else if in_vain < LOOKS + NAPS {
            in_vain += 1;
            thread::sleep(NAP);
        } else {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    fn pool(threads: usize) -> rayon::ThreadPool {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
    }

    #[test]
    fn work_is_done_inside_and_outside_a_pool_and_threads_are_free_again() {
        let sum = || (0..1000_u64).into_par_iter().sum::<u64>();
        for threads in [1, 2, 4] {
            let pool = pool(threads);
            for _ in 0..20 {
                assert_eq!(pool.install(|| while_awake(sum)), 499_500);
            }
            // One execution inside another.
            assert_eq!(pool.install(|| while_awake(|| while_awake(sum))), 499_500);
            assert_eq!(pool.install(sum), 499_500);
        }
        assert_eq!(while_awake(sum), 499_500);
    }

    #[test]
    fn a_thread_in_the_midst_of_a_job_gives_up_looking() {
        let pool = pool(2);
        pool.install(|| {
            let over = Over(Arc::default());
            // Nothing is to be found, and the execution does not end while this thread looks.
            look_for_work(&over.0);
            assert!(!over.0.load(Ordering::Acquire));
        });
    }

    #[test]
    fn threads_are_free_again_after_a_panic() {
        let pool = pool(2);
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            pool.install(|| while_awake(|| panic!("on purpose")))
        }));
        assert!(result.is_err());
        assert_eq!(pool.install(|| (0..10).into_par_iter().sum::<u64>()), 45);
    }
}
