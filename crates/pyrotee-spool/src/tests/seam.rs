//! The promises of the seam.

use std::cell::RefCell;
use std::sync::Arc;

use pyrotee_queue::{Budget, conformance};

use super::support::settings;

#[tokio::test]
async fn the_spool_passes_the_conformance_suite() {
    let dirs = RefCell::new(Vec::new());
    conformance::run_on_disk(|targets| {
        let dir = tempfile::tempdir().unwrap();
        let names = (0..).map(|number: u32| format!("target-{number}"));
        let targets = names
            .zip(targets)
            .map(|(name, (limits, ledger))| (name, limits, ledger));
        let spool = settings(dir.path())
            .open(targets, &Budget::new(1 << 20))
            .unwrap();
        dirs.borrow_mut().push(dir);
        (Arc::clone(&spool.producer), spool.consumers)
    })
    .await;
}
