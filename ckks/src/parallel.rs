//! Independent pieces of work on the current rayon pool.

/// Runs `task` on every item: in order on this thread where the pool has one thread or there is one item.
///
/// Results must not depend on the order, which callers ensure by giving each item its own outputs.
pub(crate) fn for_each<T: Send>(mut items: Vec<T>, task: impl Fn(T) + Send + Sync) {
    #[cfg(not(target_family = "wasm"))]
    if items.len() > 1 && rayon::current_num_threads() > 1 {
        use rayon::prelude::*;
        items.into_par_iter().with_max_len(1).for_each(task);
        return;
    }
    items.drain(..).for_each(task);
}
