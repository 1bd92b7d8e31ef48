//! What `--fail` looks at.

use pyrotee_admin::json::status::{FAILING, HEALTHY, StatusPage};
use pyrotee_terminal::visible;

/// What is not healthy: targets, the upstream, and parts of the relay; `None` if everything is.
pub(super) fn trouble(page: &StatusPage) -> Option<String> {
    let targets = page.targets.iter().filter(|it| it.state != HEALTHY);
    let targets = targets.map(|it| format!("target {} is {}", it.name, it.state));
    let upstream = page.upstream.iter().filter(|it| it.state == FAILING);
    let upstream = upstream.map(|it| format!("the upstream {} is {}", it.address, it.state));
    let parts = page.degraded.iter();
    let parts = parts.map(|it| format!("{} is degraded ({})", it.part, it.state));
    let trouble: Vec<_> = targets.chain(upstream).chain(parts).collect();
    (!trouble.is_empty()).then(|| visible(&trouble.join("; ")))
}
