//! Pull mode with a program in Go that serves `net/http/pprof` and godeltaprof.

/// Deltas of real profiles, compared with the oracle.
mod deltas;
/// Computes a delta with `github.com/google/pprof/profile`.
mod oracle;
/// The relay scrapes the program.
mod relay;

use std::{
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, Stdio},
    sync::Once,
};

use crate::{
    support::{Request, client::send},
    tools::{Tools, command, program},
};

const NEEDS: &str = "go (1.21 or later, which fetches the newer one that the module asks for: \
    https://go.dev/dl, or Debian 13: apt-get install golang) and a module proxy that has \
    github.com/grafana/pyroscope-go/godeltaprof and github.com/google/pprof";

/// Bytes of one allocation.
const SIZE: i64 = 65_536;

/// The program and the oracle are built once for all tests.
static BUILT: Once = Once::new();

fn tools() -> Tools {
    let tools = Tools::new("scrape", NEEDS);
    BUILT.call_once(|| {
        let mut build = command("go", &["build", "-mod=readonly", "-o"]);
        let sources = ["./app", "./oracle"];
        build.arg(tools.home()).args(sources);
        tools.install(build.current_dir(program("scrape")));
    });
    tools
}

/// The running program. It is killed when dropped.
#[derive(Debug)]
struct App {
    child: Child,
    address: SocketAddr,
}

impl App {
    /// Starts the program at a free port.
    fn start() -> Self {
        Self::start_at("127.0.0.1:0")
    }

    fn start_at(address: &str) -> Self {
        let binary = tools().home().join("app");
        let mut child = command(binary, &[address])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built");
        let output = child.stdout.take().expect("stdout is piped");
        let mut line = String::new();
        let read = BufReader::new(output).read_line(&mut line);
        read.expect("the program prints its address");
        let address = line.trim().parse();
        let address = address.unwrap_or_else(|error| panic!("{error}: {line:?}"));
        Self { child, address }
    }

    /// The body of a response with status 200.
    fn get(&self, target: &str) -> Vec<u8> {
        let request = Request::get(target);
        let response = send(self.address, &request);
        assert_eq!(response.status(), 200, "{target}: {response:?}");
        response.body.data
    }

    /// Makes `count` allocations of [`SIZE`] bytes, which are garbage at once.
    fn allocate(&self, count: i64) {
        self.get(&format!("/allocate?count={count}&size={SIZE}"));
    }

    /// Makes `count` allocations of [`SIZE`] bytes, which live until `/release`.
    fn keep(&self, count: i64) {
        self.get(&format!("/allocate?count={count}&size={SIZE}&keep=1"));
    }
}

impl Drop for App {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
