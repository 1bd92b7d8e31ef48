//! Refuses addresses that lead back to pyrotee's own listener.

use pyrotee_net::{Address, Listen};

use crate::{listen, reader::Scope};

/// Adds a fault for an address that certainly leads back to pyrotee, because each request would arrive again.
pub(super) fn refuse_loop(scope: &Scope<'_>, address: &Address, listen: Option<Listen>) {
    if let Some(listen) = listen.filter(|listen| listen::is_reached_by(listen, address)) {
        let text =
            format!("leads back to pyrotee's own `listen` ({listen}); write the other address");
        scope.fault("address", &text);
    }
}
