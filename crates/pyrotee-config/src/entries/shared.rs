//! The entries of the shared backlog.

use pyrotee_yaml::values::{format_duration, format_size};

use super::{List, Value};
use crate::{
    sections::MODE,
    settings::{Shared, SharedAuth},
};

impl<'a> List<'a> {
    pub(super) fn shared(&mut self, shared: &'a Shared) {
        // Without `..`, so that a new field cannot be forgotten here.
        let Shared {
            servers,
            auth,
            tls,
            prefix,
            after,
            policy,
            replicas,
            max_bytes,
            drain_spool,
        } = shared;
        self.list("servers", servers.iter().map(|it| it.text.as_str()));
        self.section("auth", |list| match auth {
            SharedAuth::None => {}
            SharedAuth::CredsFile(path) => list.text("creds-file", path.to_string_lossy()),
            SharedAuth::NkeyFile(path) => list.text("nkey-file", path.to_string_lossy()),
            SharedAuth::Token(token) => list.add("token", Value::Secret(token)),
            SharedAuth::User { user, password } => {
                list.text("user", user);
                list.add("password", Value::Secret(password));
            }
        });
        self.outgoing_tls(tls.as_ref());
        self.text("prefix", prefix);
        self.plain("mode", MODE);
        self.plain("after", format_duration(*after));
        self.plain("policy", policy.as_str());
        self.plain("replicas", replicas.to_string());
        self.plain("max-bytes", format_size(*max_bytes));
        if let Some(dir) = drain_spool {
            self.text("drain-spool", dir.to_string_lossy());
        }
    }
}
