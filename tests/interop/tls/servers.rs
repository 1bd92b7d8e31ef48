//! Servers of other makes. Each passes requests on to a stand-in, which keeps them.

use std::{
    fmt::Write as _,
    fs,
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    process::Stdio,
    thread,
};

use rustix::process::Signal;
use serde_json::json;
use tempfile::TempDir;

use super::{
    files::{CLIENT_CAS, Files, Shown},
    process::{Process, go},
};
use crate::{
    support::{Upstream, ports::Refusing},
    tools::command,
};

/// The make of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Make {
    /// `openssl s_server`, which has one connection at a time.
    OpenSsl,
    Nginx,
    Go,
}

/// What one listener does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Listener {
    pub(super) shown: Shown,
    /// Whether a client shows a certificate of `client_ca`: `off`, `optional` or `on`.
    pub(super) clients: &'static str,
    /// The file of the authorities of clients.
    pub(super) client_ca: &'static str,
    /// Highest version of TLS: `1.2` or `1.3`.
    pub(super) max: &'static str,
    /// HTTP without TLS.
    pub(super) plain: bool,
}

/// The usual listener.
pub(super) const VALID: Listener = Listener {
    shown: Shown::Valid,
    clients: "off",
    client_ca: CLIENT_CAS,
    max: "1.3",
    plain: false,
};

/// Running listeners of one make. They are stopped when dropped.
#[derive(Debug)]
pub(super) struct Servers {
    processes: Vec<Process>,
    ports: Vec<Refusing>,
    _home: TempDir,
}

impl Servers {
    /// Starts a server for each listener. nginx and Go have all listeners in one process.
    pub(super) fn start(
        make: Make,
        listeners: &[Listener],
        files: &Files,
        backend: &Upstream,
    ) -> Self {
        let home = tempfile::tempdir().expect("a temporary directory can be made");
        let ports: Vec<_> = listeners.iter().map(|_| Refusing::new()).collect();
        let addresses: Vec<_> = ports.iter().map(Refusing::address).collect();
        let pairs = || addresses.iter().copied().zip(listeners);
        let mut processes = match make {
            Make::OpenSsl => pairs()
                .map(|(address, listener)| s_server(address, listener, files, backend))
                .collect(),
            Make::Nginx => {
                let servers =
                    pairs().map(|(address, it)| nginx_server(address, it, files, backend));
                vec![nginx(&home, &servers.collect::<String>())]
            }
            Make::Go => {
                let all = pairs().map(|(address, it)| go_server(address, it, files, backend));
                let file = home.path().join("servers.json");
                let text = serde_json::Value::from_iter(all).to_string();
                fs::write(&file, text).expect("the directory can be written to");
                vec![Process::start(go(&["serve"]).arg(file))]
            }
        };
        if make == Make::OpenSsl {
            for (process, address) in processes.iter_mut().zip(&addresses) {
                process.wait_for(&[*address]);
            }
        } else {
            processes[0].wait_for(&addresses);
        }
        Self {
            processes,
            ports,
            _home: home,
        }
    }

    /// The port of a listener.
    pub(super) fn port(&self, index: usize) -> u16 {
        self.ports[index].address().port()
    }

    /// Makes nginx read its certificates again, as `nginx -s reload` does.
    pub(super) fn reload(&self) {
        self.processes[0].signal(Signal::HUP);
    }
}

/// An nginx with these blocks in its section `http`. Its workers run as the user of the test.
pub(super) fn nginx(home: &TempDir, servers: &str) -> Process {
    let at = home.path().display();
    let mut text = format!(
        "user root;\nworker_processes 1;\ndaemon off;\npid {at}/pid;\nerror_log stderr notice;\n\
         events {{}}\nhttp {{\naccess_log off;\n"
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        writeln!(text, "{kind}_temp_path {at}/{kind};").expect("a string takes it");
    }
    text += servers;
    text += "}\n";
    let file = home.path().join("nginx.conf");
    fs::write(&file, text).expect("the directory can be written to");
    let mut nginx = command("nginx", &["-e", "stderr", "-p"]);
    Process::start(nginx.arg(home.path()).arg("-c").arg(file))
}

fn nginx_server(address: SocketAddr, it: &Listener, files: &Files, backend: &Upstream) -> String {
    let pass = format!(
        "location / {{ proxy_set_header X-Client-Serial $ssl_client_serial; proxy_pass {}; }}",
        backend.url()
    );
    if it.plain {
        return format!("server {{ listen {address}; {pass} }}\n");
    }
    let versions = if it.max == "1.2" { "" } else { "TLSv1.3" };
    format!(
        "server {{ listen {address} ssl; ssl_protocols TLSv1.2 {versions};\n\
         ssl_certificate {}; ssl_certificate_key {};\n\
         ssl_verify_client {}; ssl_client_certificate {};\n{pass} }}\n",
        files.cert(it.shown),
        files.key(it.shown),
        it.clients,
        files.path(it.client_ca),
    )
}

fn go_server(
    address: SocketAddr,
    it: &Listener,
    files: &Files,
    backend: &Upstream,
) -> serde_json::Value {
    json!({
        "address": address.to_string(),
        "backend": backend.url(),
        "cert": files.cert(it.shown),
        "key": files.key(it.shown),
        "clientCA": files.path(it.client_ca),
        "clients": it.clients,
        "max": it.max,
        "plain": it.plain,
    })
}

/// Starts an `openssl s_server`. It passes bytes between its client and its standard streams, which two threads
/// connect with the stand-in.
fn s_server(address: SocketAddr, it: &Listener, files: &Files, backend: &Upstream) -> Process {
    assert!(!it.plain, "s_server speaks TLS");
    // Without -verify_return_error it accepts any certificate.
    let mut server = command("openssl", &["s_server", "-quiet", "-verify_return_error"]);
    server.arg("-accept").arg(address.to_string());
    server.arg("-cert").arg(files.cert(it.shown));
    server.arg("-key").arg(files.key(it.shown));
    if it.max == "1.2" {
        server.arg("-no_tls1_3");
    }
    match it.clients {
        "optional" => server.args(["-verify", "1", "-CAfile", &files.path(it.client_ca)]),
        "on" => server.args(["-Verify", "1", "-CAfile", &files.path(it.client_ca)]),
        _ => &mut server,
    };
    let server = server.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut process = Process::start(server);
    let child = process.child();
    let (input, output) = (child.stdin.take(), child.stdout.take());
    let input = input.expect("it is piped");
    let output = output.expect("it is piped");
    let to = TcpStream::connect(backend.address()).expect("the stand-in listens");
    let from = to.try_clone().expect("a socket can be cloned");
    thread::spawn(move || pass(from, input));
    thread::spawn(move || {
        let end = to.try_clone().expect("a socket can be cloned");
        pass(output, to);
        // The other thread holds the input of the process; it ends too.
        drop(end.shutdown(Shutdown::Both));
    });
    process
}

/// Copies bytes as they come, until one side ends.
fn pass(mut from: impl Read, mut to: impl Write) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to
            .write_all(&buffer[..read])
            .and_then(|()| to.flush())
            .is_err()
        {
            return;
        }
    }
}
