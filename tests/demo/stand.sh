# Functions that start a relay and stand-ins for Pyroscope. Set `home` to a folder for their output before sourcing this file.
# shellcheck shell=bash

pids=()
stop_all() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
}

# Waits until FILE has a line that matches PATTERN, and sets `found` to the last match of the pattern's group.
await() { # FILE SED-EXPRESSION
    for _ in $(seq 100); do
        found=$(sed -nE "$2" "$1" | tail -n 1)
        [ -z "$found" ] || return 0
        sleep 0.1
    done
    echo "nothing in $1 within 10 s:" >&2; cat "$1" >&2; return 1
}

# Starts a stand-in whose lines go to the file NAME, and sets `found` to its address.
sink() { # BINARY NAME
    # The file must exist before `await` reads it.
    : >"${home:?}/$2"
    "$1" sink --listen 127.0.0.1:0 >"$home/$2" &
    pids+=($!)
    await "$home/$2" 's|^listening on (http://.*)$|\1|p'
}

# Starts a relay that is configured by the file pyrotee.yaml, and sets `found` to its address and `relay` to its process.
relay() { # BINARY
    : >"${home:?}/relay.log"
    "$1" run --config "$home/pyrotee.yaml" --log-format json 2>"$home/relay.log" &
    relay=$!
    pids+=("$relay")
    await "$home/relay.log" 's|.*"listener":"data","address":"([^"]*)".*|http://\1|p'
}
