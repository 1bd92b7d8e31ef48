//! Keeps a processor busy under the profiler for a while: `busy SERVER SECONDS`.

use std::{
    env,
    error::Error,
    hint::black_box,
    time::{Duration, Instant},
};

use pyroscope::{
    backend::{pprof_backend, BackendConfig, PprofConfig},
    pyroscope::PyroscopeAgentBuilder,
};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().collect();
    let (server, seconds) = (&arguments[1], arguments[2].parse()?);
    let backend = pprof_backend(PprofConfig::default(), BackendConfig::default());
    let agent = PyroscopeAgentBuilder::new(
        server,
        "interop.rust",
        100,
        "pyroscope-rs",
        "2.1.5",
        backend,
    )
    .basic_auth("sdk-user", "sdk-password")
    .tenant_id("sdk-tenant".to_owned())
    .tags(vec![("region", "eu"), ("zone", "a")])
    .upload_interval(Duration::from_secs(1))
    .build()?
    .start()?;
    let end = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < end {
        black_box((0..10_000_u64).fold(0, |sum, number| sum ^ black_box(number * number)));
    }
    agent.stop()?.shutdown();
    Ok(())
}
