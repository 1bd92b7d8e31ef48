//! The state of the upstream for the status page.

use pyrotee_admin::UpstreamState;
use pyrotee_admin::json::status::{FAILING, HEALTHY, UNUSED, UpstreamErrorJson, UpstreamJson};
use pyrotee_admin::json::time;
use pyrotee_net::FailedExchange;
use pyrotee_proxy::UpstreamMonitor;

/// Shows what the proxy knows of the upstream.
#[derive(Debug)]
pub(crate) struct ShownUpstream(pub(crate) UpstreamMonitor);

impl UpstreamState for ShownUpstream {
    fn state(&self) -> UpstreamJson {
        let status = self.0.snapshot();
        let state = match (status.failing, status.last_success) {
            (true, _) => FAILING,
            (false, Some(_)) => HEALTHY,
            (false, None) => UNUSED,
        };
        UpstreamJson {
            address: status.address,
            state: state.to_owned(),
            last_success: status.last_success.map(time),
            last_error: status.last_error.map(last_error),
        }
    }
}

fn last_error(error: FailedExchange) -> UpstreamErrorJson {
    UpstreamErrorJson {
        at: time(error.at),
        kind: error.kind.as_str().to_owned(),
        // An exchange that ended with a response did not fail by the upstream's fault, whatever its status.
        status: None,
        text: error.text,
        remedy: Some(error.remedy.to_owned()),
    }
}
