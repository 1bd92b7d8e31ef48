//! nginx, configured for speed: bodies in memory, whole segments, kept connections on both sides.

use std::{fs, process::Command};

use super::{Running, Setup, free_port, tools::NGINX};
use crate::tls::{CA, CERTIFICATE, KEY, NAME};

/// How nginx handles a body before forwarding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bodies {
    Streamed,
    /// In memory. By default nginx writes a body above 16 KB to a file, which costs 44 ms or twice the CPU.
    InMemory,
}

pub(super) fn start(setup: Setup<'_>, bodies: Bodies) -> anyhow::Result<Running> {
    let address = free_port()?;
    let config = setup.home.join("nginx.conf");
    fs::write(&config, text(setup, bodies, &address.to_string()))?;
    let mut command = Command::new(NGINX.find()?);
    command
        .arg("-p")
        .arg(setup.home)
        .arg("-c")
        .arg(&config)
        .args(["-e", "stderr"]);
    Running::at(address, "nginx", command, setup)
}

fn text(setup: Setup<'_>, bodies: Bodies, address: &str) -> String {
    let home = setup.home.display();
    let [upstream_scheme, target_scheme] = setup.schemes();
    let (mut upstreams, mut mirrors, mut locations) = (String::new(), String::new(), String::new());
    for (index, target) in setup.targets.iter().enumerate() {
        upstreams += &upstream(&format!("t{index}"), &target.to_string());
        mirrors += &format!("mirror /mirror{index};\n");
        locations += &format!(
            "location = /mirror{index} {{ internal; proxy_pass {target_scheme}://t{index}$request_uri; }}\n"
        );
    }
    let buffering = match bodies {
        Bodies::Streamed => "proxy_request_buffering off;",
        Bodies::InMemory => "proxy_request_buffering on;",
    };
    // The temporary directories of a package belong to another user.
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {home}/{name};\n"))
        .concat();
    format!(
        "daemon off; worker_processes 1; pid {home}/nginx.pid; error_log stderr warn;\n\
         events {{ worker_connections 16384; }}\n\
         http {{\n{temporary}access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;\n\
         keepalive_timeout 600s; keepalive_requests 100000000;\n\
         client_max_body_size 32m; client_body_buffer_size 6m; proxy_buffering on;\n\
         proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_set_header Host $host;\n\
         {}{}{upstreams}\
         server {{ listen {address}{} backlog=4096;\n{}\
         location / {{ {buffering} {mirrors} proxy_pass {upstream_scheme}://local; }}\n{locations}}}\n}}\n",
        to_servers(setup),
        upstream("local", &setup.upstream.to_string()),
        if setup.encrypted.clients { " ssl" } else { "" },
        from_clients(setup)
    )
}

/// The lines for TLS from clients.
fn from_clients(setup: Setup<'_>) -> String {
    if !setup.encrypted.clients {
        return String::new();
    }
    let (certificate, key) = (setup.file(CERTIFICATE), setup.file(KEY));
    format!("ssl_protocols TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {key};\n")
}

/// The lines for TLS to servers: by default nginx neither verifies a certificate nor speaks TLS 1.3.
fn to_servers(setup: Setup<'_>) -> String {
    if !setup.encrypted.servers {
        return String::new();
    }
    format!(
        "proxy_ssl_protocols TLSv1.3; proxy_ssl_verify on; proxy_ssl_trusted_certificate {};\n\
         proxy_ssl_server_name on; proxy_ssl_name {NAME};\n",
        setup.file(CA)
    )
}

fn upstream(name: &str, address: &str) -> String {
    format!(
        "upstream {name} {{ server {address} max_fails=0; keepalive 512; keepalive_requests 100000000; keepalive_timeout 600s; }}\n"
    )
}
