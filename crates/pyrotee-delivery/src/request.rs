//! Makes the upload request of a record.

use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use pyroscope_wire::{SurfacePaths, Tags};
use pyrotee_net::{Address, HOPS};
use pyrotee_queue::{Reason, Record};
use tokio::sync::Semaphore;

use crate::content::{Content, Prepared};
use crate::upload_body::{UploadBody, UploadProgress};
use crate::{Settings, SettingsError};

/// The parts that all upload requests to one target have in common.
#[derive(Debug)]
pub(crate) struct RequestTemplate {
    address: Address,
    tags: Arc<Tags>,
    paths: SurfacePaths,
    headers: HeaderMap,
    rewrites: RewritePermits,
}

impl RequestTemplate {
    pub(crate) fn new(
        settings: &Settings,
        rewrites: RewritePermits,
    ) -> Result<Self, SettingsError> {
        Ok(Self {
            address: settings.address.clone(),
            tags: Arc::new(settings.tags.clone()),
            paths: settings.paths.clone(),
            headers: settings.headers()?,
            rewrites,
        })
    }

    /// The tags that the target's settings give to every profile that this relay captures.
    pub(crate) fn tags(&self) -> &Arc<Tags> {
        &self.tags
    }

    /// Makes the content of an upload of `record` with `tags`; `Err` is the reason to drop the record. May take long, and
    /// the time does not depend on the target.
    pub(crate) async fn prepare(
        &self,
        record: &Arc<Record>,
        tags: &Arc<Tags>,
    ) -> Result<Prepared, Reason> {
        Content::of(record, tags, &self.rewrites.0).await
    }

    /// The upload request of `record` with `content`; `Err` is the reason to drop the record.
    pub(crate) fn request(
        &self,
        record: &Record,
        content: Content,
        progress: &Arc<UploadProgress>,
    ) -> Result<Request<UploadBody>, Reason> {
        let uri = self.uri(&content).ok_or(Reason::InvalidName)?;
        let mut headers = self.headers.clone();
        // hyper sends no Content-Length for an empty body, and some servers then respond with 411.
        if content.is_empty() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        headers.insert(HOPS, HeaderValue::from(u16::from(record.head().hops) + 1));
        for (name, value) in [
            (CONTENT_TYPE, content.content_type),
            (CONTENT_ENCODING, content.content_encoding),
        ] {
            if let Some(value) = value {
                headers.insert(name, value);
            }
        }
        for (name, value) in content.headers {
            // The headers of the target's configuration win.
            headers.entry(name).or_insert(value);
        }
        let body = UploadBody::new(content.body, Arc::clone(progress));
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        Ok(request)
    }

    /// Path and query of the request; `None` if the tags make them longer than the 65,534 bytes that `http` allows.
    fn uri(&self, content: &Content) -> Option<Uri> {
        let mark = if content.query.is_empty() { "" } else { "?" };
        let path = [
            self.address.prefix(),
            self.paths.of(content.surface),
            mark,
            &content.query,
        ];
        // The capacity of this string equals its length, so that `Bytes` takes the string without a copy.
        let path = path.concat();
        PathAndQuery::try_from(path).ok().map(Uri::from)
    }
}

/// One permit for each body that may be rewritten for one target at once. Each target has its own permits, so that slow
/// rewrites for one target do not delay other targets. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct RewritePermits(Arc<Semaphore>);

impl RewritePermits {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Semaphore::new(most_rewrites())))
    }
}

/// Bodies that may be rewritten for one target at once: as many as there are CPUs.
fn most_rewrites() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
