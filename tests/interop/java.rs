//! `io.pyroscope:agent` from Maven Central: 2.9.2, the newest on 2026-11-23. It speaks `/ingest`, with
//! JFR in a chunked multipart body.

use std::{collections::BTreeSet, process::Command, sync::Once};

use crate::{
    compare::{PATIENCE, Surface, compare, named},
    support::{Answer, Relay, Upstream},
    tools::{Tools, command, program},
};

const NEEDS: &str = "java and javac (11 or later) and mvn (Debian: apt-get install \
    default-jdk-headless maven) and a repository that has io.pyroscope:agent";

/// Settings of the agent. The address of the server is added to them.
const ENVIRONMENT: [(&str, &str); 8] = [
    ("PYROSCOPE_APPLICATION_NAME", "interop.java"),
    ("PYROSCOPE_LABELS", "region=eu,zone=a"),
    ("PYROSCOPE_BASIC_AUTH_USER", "sdk-user"),
    ("PYROSCOPE_BASIC_AUTH_PASSWORD", "sdk-password"),
    ("PYROSCOPE_TENANT_ID", "sdk-tenant"),
    ("PYROSCOPE_FORMAT", "jfr"),
    ("PYROSCOPE_UPLOAD_INTERVAL", "1s"),
    // The only way of sampling that needs no permission of the kernel.
    ("PYROSCOPE_PROFILER_EVENT", "itimer"),
];

static INSTALLED: Once = Once::new();

#[test]
fn the_newest_java_agent_sends_through_the_relay_as_if_it_was_not_there() {
    let mut tools = installed();
    let uploads = compare(&tools, Surface::Ingest, |server| {
        profiled(&tools, server, 4)
    });
    named(&uploads, "interop.java");
    tools.took("comparing");
}

#[test]
fn a_profile_that_the_java_agent_sends_again_reaches_the_target_once() {
    let mut tools = installed();
    let upstream = Upstream::script(|arrival| match arrival.index {
        0..3 => Answer::error(503, "unavailable", "empty ring"),
        _ => Answer::ok(),
    });
    let target = Upstream::ok();
    let relay = Relay::builder()
        .upstream(&upstream)
        .target("central", &target, &[])
        .spawn();
    let server = format!("http://{}", relay.addr());
    // The agent waits a random time before each try; the fourth was measured up to 4 s after the first.
    tools.run(&mut profiled(&tools, &server, 15), PATIENCE);

    let ledger = relay.wait_ledger("central", "all settled", |ledger| {
        ledger.accepted.profiles > 3 && ledger.pending.profiles == 0
    });
    assert_eq!(ledger.dropped("duplicate").profiles, 3, "{ledger:?}");
    // A retry has the times of the first try, and a new boundary.
    let copies = target.requests();
    let profiles: BTreeSet<_> = copies.iter().map(|copy| copy.head.target()).collect();
    assert_eq!(profiles.len(), copies.len(), "{profiles:?}");
    tools.took("sending again");
}

/// The tools with the agent and the program installed.
pub(crate) fn installed() -> Tools {
    let mut tools = Tools::new("java", NEEDS);
    INSTALLED.call_once(|| {
        let home = tools.home();
        let manifest = program("java/pom.xml");
        tools.install_once(&manifest, || {
            let mut copy = command("mvn", &["--quiet", "--batch-mode", "--file"]);
            copy.arg(&manifest).arg("dependency:copy-dependencies");
            copy.arg("-Dmdep.stripVersion=true");
            copy.arg(format!("-DoutputDirectory={}", home.display()));
            tools.install(&mut copy);
        });
        let mut compile = command("javac", &["-d"]);
        compile.arg(&home).arg("-cp").arg(home.join("agent.jar"));
        tools.install(compile.arg(program("java/Busy.java")));
        tools.took("installing");
    });
    tools
}

/// The program, busy for `seconds`, with an agent that sends to `server`.
pub(crate) fn profiled(tools: &Tools, server: &str, seconds: u32) -> Command {
    let home = tools.home();
    let mut command = command("java", &[]);
    command.arg(format!("-javaagent:{}", home.join("agent.jar").display()));
    command
        .arg("-cp")
        .arg(&home)
        .args(["Busy", &seconds.to_string()]);
    command.envs(ENVIRONMENT);
    command.env("PYROSCOPE_SERVER_ADDRESS", server);
    command
}
