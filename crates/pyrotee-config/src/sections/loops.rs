//! Addresses that lead back.

use pyrotee_net::{Address, Listen};

use crate::{listen, reader::Scope};

/// Refuses an address that surely leads back to pyrotee: each request would come in again.
pub(super) fn refuse_loop(scope: &Scope<'_>, address: &Address, listen: Option<Listen>) {
    if let Some(listen) = listen.filter(|listen| listen::is_reached_by(listen, address)) {
        let text =
            format!("leads back to pyrotee's own `listen` ({listen}); write the other address");
        scope.fault("address", &text);
    }
}
