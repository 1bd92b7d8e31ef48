//! Uploads single records to a target outside of its queue, to see whether the target accepts them.

use std::sync::Arc;

use http::StatusCode;
use pyroscope_wire::Tags;
use pyroscope_wire::refusal::Meaning;
use pyrotee_net::Connector;
use pyrotee_queue::{Record, WallClock};

use crate::client::TargetClient;
use crate::connection::Endpoint;
use crate::metrics::TargetMetrics;
use crate::outcome::Outcome;
use crate::request::RewritePermits;
use crate::{Settings, SettingsError};

/// Uploads single records with the settings of a target: the request, its time limit and the reading of the response are
/// those of a delivery. A record is tried once, over a new connection.
#[derive(Debug)]
pub struct Trial {
    client: TargetClient,
    metrics: TargetMetrics,
}

/// The result of one upload of a [`Trial`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrialResult {
    /// Whether the target has the record, or all of it but a part that `text` names.
    pub is_accepted: bool,
    /// The outcome of the upload, as in the label `outcome` of metrics.
    pub outcome: &'static str,
    /// Status of the response; `None` if there was none.
    pub status: Option<StatusCode>,
    /// The body of the response or the error, in one line without secrets; empty for a success without a warning.
    pub text: String,
    /// What an operator does about the failure, in one sentence; `None` for a success.
    pub remedy: Option<&'static str>,
}

impl Trial {
    /// # Errors
    /// If a setting cannot be sent as a header.
    pub fn new(settings: &Settings, connector: &Connector) -> Result<Self, SettingsError> {
        let endpoint = Endpoint::new(connector, settings);
        let (permits, clock) = (RewritePermits::new(), WallClock::system());
        Ok(Self {
            client: TargetClient::new(settings, endpoint, permits, clock)?,
            metrics: TargetMetrics::new(&settings.name, &settings.address),
        })
    }

    /// Uploads `record` once.
    pub async fn upload(&self, record: &Arc<Record>) -> TrialResult {
        let captor_tags = record.head().captor_tags.as_deref();
        let captor_tags = captor_tags.and_then(Tags::read).map(Arc::new);
        let tags = captor_tags.as_ref().unwrap_or(self.client.tags());
        let outcome = match self.client.prepare(record, tags).await {
            Err(reason) => Outcome::unsendable(reason),
            Ok((content, _use)) => {
                let mut connection = None;
                self.client
                    .upload(record, tags, content, &mut connection, &self.metrics)
                    .await
            }
        };
        let is_accepted = outcome.meaning == Ok(Meaning::Taken);
        TrialResult {
            is_accepted,
            remedy: (!is_accepted).then(|| outcome.remedy()),
            outcome: outcome.as_str(),
            status: outcome.status,
            text: outcome.text,
        }
    }
}
