//! Envoy with one worker and raised limits: by default it drops requests beyond 1,024.

use std::{fs, net::SocketAddr, process::Command};

use serde_json::{Value, json};

use super::{Running, Setup, free_port, tools::ENVOY};

/// Limit of connections, of pending requests and of requests to one cluster.
const MOST: u32 = 8192;

pub(super) fn start(setup: Setup<'_>) -> anyhow::Result<Running> {
    let address = free_port()?;
    let config = setup.home.join("envoy.json");
    fs::write(
        &config,
        serde_json::to_vec_pretty(&bootstrap(setup, address))?,
    )?;
    let mut command = Command::new(ENVOY.find()?);
    command.arg("-c").arg(&config);
    command.args([
        "--concurrency",
        "1",
        "--log-level",
        "warn",
        "--disable-hot-restart",
    ]);
    Running::at(address, "envoy", command, setup)
}

fn bootstrap(setup: Setup<'_>, listen: SocketAddr) -> Value {
    let names: Vec<_> = (0..setup.targets.len())
        .map(|index| format!("t{index}"))
        .collect();
    let mirrors: Vec<_> = names
        .iter()
        .map(|name| json!({ "cluster": name }))
        .collect();
    let targets = names.iter().zip(setup.targets);
    let mut clusters = vec![cluster("local", setup.upstream)];
    clusters.extend(targets.map(|(name, address)| cluster(name, *address)));
    let route = json!({
        "match": { "prefix": "/" },
        "route": { "cluster": "local", "timeout": "60s", "request_mirror_policies": mirrors },
    });
    let manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "generate_request_id": false,
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] },
        "http_filters": [{
            "name": "envoy.filters.http.router",
            "typed_config": { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
        }],
    });
    json!({ "static_resources": {
        "listeners": [{
            "name": "in",
            "address": socket(listen),
            "filter_chains": [{ "filters": [{
                "name": "envoy.filters.network.http_connection_manager",
                "typed_config": manager,
            }] }],
        }],
        "clusters": clusters,
    }})
}

fn cluster(name: &str, address: SocketAddr) -> Value {
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "5s",
        "circuit_breakers": { "thresholds": [{
            "max_connections": MOST, "max_pending_requests": MOST, "max_requests": MOST,
        }] },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": socket(address) } }] }],
        },
    })
}

fn socket(address: SocketAddr) -> Value {
    json!({ "socket_address": { "address": address.ip().to_string(), "port_value": address.port() } })
}
