//! Threads for work that waits for a disk.

use std::thread::Builder;

use tokio::sync::oneshot;

/// Runs `run`, which waits for a disk, on a thread of its own: the threads of the runtime may all be busy with bodies.
/// The result is an error if the thread does not start or panics.
pub fn on_thread<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> oneshot::Receiver<T> {
    let (done, result) = oneshot::channel();
    let thread = Builder::new().name(name.to_owned()).spawn(move || {
        let _result_or_nobody_waits = done.send(run());
    });
    if let Err(error) = thread {
        tracing::error!(name, %error, "failed to start a thread");
    }
    result
}
