"""Requests that the chart makes to a relay, made to a real relay: probes, the scrape, and the containers of `helm test`."""

import json
import os
import re
import subprocess
import urllib.request
from contextlib import contextmanager

import pytest

from support import CHART, binary, find, relay, values_of, with_files

VALUES = values_of(CHART / "ci/deployment-values.yaml")


@contextmanager
def running(*args, **environment):
    process = subprocess.Popen(
        [binary(), *args], env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def objects(chart):
    return chart.objects(VALUES)


@pytest.fixture(scope="module")
def addresses(objects, tmp_path_factory):
    """Addresses of a relay with the rendered file. The test sets only the relay's listeners, upstream, target and grace."""
    folder = tmp_path_factory.mktemp("relay")
    file = folder / "pyrotee.yaml"
    file.write_text(with_files(folder, find(objects, "ConfigMap")["data"]["pyrotee.yaml"]))
    with running("sink", "--listen", "127.0.0.1:0") as sink:
        upstream = re.search(r"http://\S+", sink.stdout.readline())[0]
        environment = {
            "PYROTEE__LISTEN": "127.0.0.1:0",
            "PYROTEE__ADMIN": "127.0.0.1:0",
            "PYROTEE__UPSTREAM__ADDRESS": upstream,
            "PYROTEE__REMOTE_WRITE__TARGETS__CENTRAL__ADDRESS": "http://127.0.0.1:9",
            "PYROTEE__SHUTDOWN__GRACE": "0",
        }
        run = relay(find(objects, "Deployment"))["args"]
        assert run[:2] == ["run", "--config"]
        with running(*run[:2], file, "--log-format", "json", **environment) as process:
            found = {}
            for line in process.stdout:
                told = json.loads(line)
                if told["message"] == "listening":
                    found[told["listener"]] = f"http://{told['address']}"
                if len(found) == 2:
                    break
            assert len(found) == 2, "the relay ended"
            yield found


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_the_probes_are_answered(objects, addresses, probe):
    path = relay(find(objects, "Deployment"))[probe]["httpGet"]["path"]
    with urllib.request.urlopen(addresses["admin"] + path, timeout=10) as answer:
        assert answer.status == 200


def test_the_scrape_is_answered(chart, addresses):
    monitor = find(chart.objects(values_of(CHART / "ci/monitoring-values.yaml")), "ServiceMonitor")
    with urllib.request.urlopen(addresses["admin"] + monitor["spec"]["endpoints"][0]["path"], timeout=10) as answer:
        assert b"pyroscope_relay_build_info" in answer.read()


def run_hook(objects, addresses, name):
    """Runs a container of the test pod against the relay, instead of through its Services."""
    spec = find(objects, "Pod")["spec"]
    container = next(one for one in spec["initContainers"] + spec["containers"] if one["name"] == name)
    places = {"http://rel-pyrotee-admin:4041": addresses["admin"], "http://rel-pyrotee:4040": addresses["data"]}
    assert set(places) & set(container["args"])
    args = [places.get(word, word) for word in container["args"]]
    return subprocess.run([binary(), *args], capture_output=True, text=True, timeout=30)


def test_helm_test_sends_a_profile(objects, addresses):
    answer = run_hook(objects, addresses, "send")
    assert answer.returncode == 0, answer.stderr


def test_helm_test_asks_whether_the_relay_is_ready(objects, addresses):
    answer = run_hook(objects, addresses, "ready")
    assert answer.returncode == 0, answer.stderr
