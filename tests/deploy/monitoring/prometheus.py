"""A real Prometheus with the real rules."""

import json
import tempfile
import urllib.parse
from pathlib import Path

from files import RULES
from loopback.processes import Process, get, need


class Prometheus(Process):
    """Scrapes relays and evaluates the rules once a second."""

    def __init__(self, folder, relays):
        # Not shared with the Prometheus of another test, whose samples would be read.
        folder = Path(tempfile.mkdtemp(prefix="prometheus-", dir=folder))
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [
                {"job_name": f"pyrotee-{name}", "static_configs": [{"targets": [relay.admin]}]}
                for name, relay in relays.items()
            ],
        }
        file = folder / "prometheus.json"
        file.write_text(json.dumps(config))
        command = [need("prometheus", "prometheus"), f"--config.file={file}"]
        command += [f"--storage.tsdb.path={folder / 'tsdb'}", "--web.listen-address=127.0.0.1:0"]
        super().__init__(folder, "prometheus", command)
        self.address = self.says(r'msg="Listening on" address=(127\.0\.0\.1:\d+)')
        self.says(r'(Server is ready)')

    def ask(self, path, **parameters):
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        return json.loads(get(url))["data"]

    def query(self, query):
        return self.ask("query", query=query)["result"]
