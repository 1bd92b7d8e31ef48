#!/usr/bin/env bash
# Shows pyrotee's main job in one minute: sends requests of real SDKs through a relay with a local and a remote
# Pyroscope (both stand-ins), and prints what each received. Exits 1 if a profile is missing or wrong.
set -euo pipefail
cd "$(dirname "$0")/../.."

pyrotee=${PYROTEE:-target/debug/pyrotee}
home=$(mktemp -d)
# shellcheck source=SCRIPTDIR/stand.sh
. tests/demo/stand.sh
trap 'stop_all; rm -rf "$home"' EXIT

sink "$pyrotee" local; local=$found
sink "$pyrotee" remote; remote=$found

cat >"$home/pyrotee.yaml" <<YAML
listen: 127.0.0.1:0
admin: 127.0.0.1:0
upstream:
  address: $local
remote-write:
  enabled: true
  targets:
    central:
      address: $remote
      auth-token: MY_AUTH_TOKEN
      tags:
        cluster-name: my-cluster
YAML
echo "The configuration, as Pyroscope's Remote Write had it:"
sed 's/^/    /' "$home/pyrotee.yaml"

relay "$pyrotee"; address=$found

sent=()
echo "Sent to the relay: the requests of real SDKs (status, bytes, digest of the body, time):"
for capture in tests/captures/*.http; do
    line=$("$pyrotee" send --to "$address" --file "$capture")
    echo "    $line   $(basename "$capture")"
    sent+=("$(echo "$line" | grep -oE '[0-9a-f]{16}')")
done

# The relay ends only when everything is delivered.
kill "$relay"
wait "$relay"

fail=0
for sink in local remote; do
    echo "Received by the $sink Pyroscope:"
    tail -n +2 "$home/$sink" | cut -c 1-200 | sed 's/^/    /'
done
for digest in "${sent[@]}"; do
    grep -q "$digest" "$home/local" || { echo "MISSING: $digest at the local one"; fail=1; }
done
# A body of /ingest is not changed; a body of Push contains the tags.
while read -r digest; do
    grep -q "$digest" "$home/remote" || { echo "MISSING: $digest at the remote one"; fail=1; }
done < <(grep ' ingest ' "$home/local" | grep -oE ' [0-9a-f]{16} ')
if grep -q 'cluster_name' "$home/local"; then echo "WRONG: the local one has tags"; fail=1; fi
tagged=$(grep -c 'cluster_name=my-cluster' "$home/remote" || true)
[ "$tagged" = "${#sent[@]}" ] || { echo "WRONG: $tagged of ${#sent[@]} are tagged"; fail=1; }
[ "$fail" = 0 ] && echo "All ${#sent[@]} profiles arrived: byte for byte at the local one, tagged at the remote one."
exit "$fail"
