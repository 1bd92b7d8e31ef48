//! The bare forwarder, as a process of this very program.

use std::{env, process::Command};

use super::{Place, Running};
use crate::{
    bare::Listening,
    child::{SOON, Tells},
};

pub(super) fn start(place: Place<'_>) -> anyhow::Result<Running> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["bare", "--upstream", &place.upstream.to_string()]);
    for target in place.targets {
        command.args(["--mirror", &target.to_string()]);
    }
    let child = place.run("bare", command, Tells::Stdout)?;
    let line: Listening = child.tell(SOON)?;
    Ok(Running::new(line.listening, Some(child)))
}
