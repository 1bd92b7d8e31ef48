//! Reads the credentials of a target again after the target refused them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

/// Reads the credentials of a target again, and passes changed ones to
/// [`TargetHandle::update`](crate::TargetHandle::update). A deliverer calls it after an upload was answered 401 or 403,
/// at most once a second, before the outcome of the upload counts. Cheap to clone; the default is disabled.
#[derive(Clone, Default)]
pub struct CredentialRefresh(Option<Arc<Refresh>>);

type Refresh = dyn Fn() -> RefreshFuture + Send + Sync;
type RefreshFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl CredentialRefresh {
    /// A refresh that awaits what `refresh` returns. The future is dropped if it takes longer than 2 s, and may not
    /// block its thread.
    pub fn new<F>(refresh: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self(Some(Arc::new(move || Box::pin(refresh()))))
    }

    /// A refresh that does nothing.
    pub fn disabled() -> Self {
        Self::default()
    }

    pub(crate) fn is_enabled(&self) -> bool {
        self.0.is_some()
    }

    /// Reads the credentials again.
    pub(crate) async fn run(&self) {
        if let Some(refresh) = &self.0 {
            refresh().await;
        }
    }
}

impl fmt::Debug for CredentialRefresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialRefresh")
    }
}
