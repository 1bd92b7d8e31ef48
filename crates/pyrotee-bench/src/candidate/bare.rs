//! The bare forwarder, started as a process of this program.

use std::{env, process::Command};

use super::{Running, Setup};
use crate::{
    bare::Listening,
    child::{SOON, Tells},
};

pub(super) fn start(setup: Setup<'_>) -> anyhow::Result<Running> {
    let mut command = Command::new(env::current_exe()?);
    command.args(["bare", "--upstream", &setup.upstream.to_string()]);
    for target in setup.targets {
        command.args(["--mirror", &target.to_string()]);
    }
    let child = setup.run("bare", command, Tells::Stdout)?;
    let line: Listening = child.tell(SOON)?;
    Ok(Running::new(line.listening, Some(child)))
}
