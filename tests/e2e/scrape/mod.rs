//! Pull mode: applications that the relay scrapes, from the scrape to the local upstream and the targets.

mod app;
mod jobs;
mod shown;
mod totals;

use app::App;

use crate::support::{Builder, Metrics, Pulled, Relay, Upstream, eventually};

/// The job `shop`, which scrapes `profiles` of `app` every second.
fn job(app: &App, profiles: &str) -> String {
    format!(
        "scrape-configs:\n- job-name: shop\n  scrape-interval: 1s\n  enabled-profiles: [{profiles}]\n  \
         profiles: {{ cpu: {{ params: {{ seconds: [\"1\"] }} }} }}\n  static-configs:\n  \
         - {{ application: shop.cart, targets: [\"{}\"], labels: {{ zone: a }} }}",
        app.address()
    )
}

/// The metrics of a relay that has sent a delta, and has a discovery that fails.
pub(crate) fn metrics_of_a_job() -> Metrics {
    let (app, local) = (App::new(&[(1, (1_000, 10))]), Upstream::ok());
    let discovery = "  file-sd-configs: [{ files: [\"{home}/none.yaml\"] }]";
    let jobs = format!("{}\n{discovery}", job(&app, "mem"));
    let relay = Relay::builder().upstream(&local).yaml(&jobs).spawn();
    wait_for(&local, "alloc_space", 1);
    relay.metrics()
}

/// The scraped profiles with this type that a stand-in for a Pyroscope got.
fn sent(to: &Upstream, sample_type: &str) -> Vec<Pulled> {
    let mut sent = Pulled::all(&to.requests());
    sent.retain(|it| it.types.iter().any(|known| known == sample_type));
    sent
}

/// Waits until a stand-in for a Pyroscope got so many profiles with this type.
fn wait_for(to: &Upstream, sample_type: &str, count: usize) -> Vec<Pulled> {
    let what = format!("{count} profiles with {sample_type}");
    eventually(crate::support::SOON, &what, || {
        sent(to, sample_type).len() >= count
    });
    sent(to, sample_type)
}

/// A builder with one target, `central`, that adds a tag.
fn with_target(builder: Builder, target: &Upstream) -> Builder {
    builder.target("central", target, &["tags: { env: prod }"])
}
