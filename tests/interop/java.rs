//! `io.pyroscope:agent` from Maven Central: 2.9.2, the newest on 2026-11-23. It speaks `/ingest`, with
//! JFR in a chunked multipart body.

use crate::{
    compare::{Surface, compare, named},
    tools::{Tools, command, program},
};

const NEEDS: &str = "java and javac (11 or later) and mvn (Debian: apt-get install \
    default-jdk-headless maven) and a repository that has io.pyroscope:agent";

/// What the agent is told; the server's address comes to it.
const ENVIRONMENT: [(&str, &str); 8] = [
    ("PYROSCOPE_APPLICATION_NAME", "interop.java"),
    ("PYROSCOPE_LABELS", "region=eu,zone=a"),
    ("PYROSCOPE_BASIC_AUTH_USER", "sdk-user"),
    ("PYROSCOPE_BASIC_AUTH_PASSWORD", "sdk-password"),
    ("PYROSCOPE_TENANT_ID", "sdk-tenant"),
    ("PYROSCOPE_FORMAT", "jfr"),
    ("PYROSCOPE_UPLOAD_INTERVAL", "1s"),
    // The one way to sample that needs no leave of the kernel.
    ("PYROSCOPE_PROFILER_EVENT", "itimer"),
];

#[test]
fn the_newest_java_agent_sends_through_the_relay_as_if_it_was_not_there() {
    let mut tools = Tools::new("java", NEEDS);
    let home = tools.home();
    let manifest = program("java/pom.xml");
    tools.install_once(&manifest, || {
        let mut copy = command("mvn", &["--quiet", "--batch-mode", "--file"]);
        copy.arg(&manifest).arg("dependency:copy-dependencies");
        copy.arg("-Dmdep.stripVersion=true");
        copy.arg(format!("-DoutputDirectory={}", home.display()));
        tools.install(&mut copy);
    });
    let agent = home.join("agent.jar");
    let mut compile = command("javac", &["-d"]);
    compile.arg(&home).arg("-cp").arg(&agent);
    tools.install(compile.arg(program("java/Busy.java")));
    tools.took("installing");
    let uploads = compare(&tools, Surface::Ingest, |server| {
        let mut command = command("java", &[]);
        command.arg(format!("-javaagent:{}", agent.display()));
        command.arg("-cp").arg(&home).args(["Busy", "4"]);
        command.envs(ENVIRONMENT);
        command.env("PYROSCOPE_SERVER_ADDRESS", server);
        command
    });
    named(&uploads, "interop.java");
    tools.took("comparing");
}
