//! From a record to the request that a target gets.

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use pyroscope_wire::{Surface, Tags, ingest};
use pyrotee_net::Address;
use pyrotee_queue::{Reason, Record};

use crate::upload::{Progress, UploadBody};
use crate::{Settings, SettingsError};

/// Counts relays, so that a ring of them does not carry a profile for ever.
const HOPS: HeaderName = HeaderName::from_static("pyrotee-hops");

/// Writes the requests of one target.
#[derive(Debug)]
pub(crate) struct Template {
    address: Address,
    tags: Tags,
    headers: HeaderMap,
}

impl Template {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let headers = settings.headers()?;
        Ok(Self {
            address: settings.address.clone(),
            tags: settings.tags.clone(),
            headers,
        })
    }

    /// The upload of `record`, or why there cannot be one.
    pub(crate) fn request(
        &self,
        record: &Arc<Record>,
        progress: &Arc<Progress>,
    ) -> Result<Request<UploadBody>, Reason> {
        let head = record.head();
        let surface = Surface::from_id(head.surface.0).ok_or(Reason::Undecodable)?;
        let query = match surface {
            Surface::Ingest => ingest::target_query(&head.query, &self.tags, head.received),
            // Not delivered yet: counted, and visible as such.
            Surface::Push | Surface::Otlp => return Err(Reason::Undecodable),
        };
        let query = query.map_err(|_fault| Reason::InvalidName)?;

        let body = UploadBody::new(Arc::clone(record), Arc::clone(progress));
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri(surface, &query).ok_or(Reason::InvalidName)?;
        let headers = request.headers_mut();
        headers.clone_from(&self.headers);
        for (name, value) in [
            (CONTENT_TYPE, &head.content_type),
            (CONTENT_ENCODING, &head.content_encoding),
        ] {
            let value = value
                .as_deref()
                .and_then(|value| HeaderValue::from_bytes(value).ok());
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        headers.insert(HOPS, HeaderValue::from(u16::from(head.hops) + 1));
        Ok(request)
    }

    /// `None` if the tags made the target too long (65,534 bytes is the most that `http` takes).
    fn uri(&self, surface: Surface, query: &str) -> Option<Uri> {
        let path = format!(
            "{}{}?{query}",
            self.address.prefix(),
            surface.canonical_path()
        );
        PathAndQuery::try_from(path)
            .ok()
            .map(|path| self.address.with_path(path))
    }
}
