//! The one place that stacks the layers.

use std::any::Any;
use std::sync::Arc;

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use pyroscope_wire::Surface;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, service_fn};
use tower_http::catch_panic::CatchPanicLayer;

use crate::answer::{self, AnswerBody};
use crate::discard::discard;
use crate::forward::Forward;
use crate::metrics::ProxyMetrics;
use crate::observe::{ObserveLayer, OwedBody};
use crate::tee::{TeeBody, TeeLayer};

/// A request's body below the tee.
pub(crate) type LocalBody = TeeBody<OwedBody<Incoming>>;
