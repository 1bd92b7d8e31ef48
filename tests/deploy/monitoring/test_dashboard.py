"""The dashboard can be loaded and follows the conventions of mixins. Grafana itself is not run."""

from grafana_foundation_sdk.models import dashboard as grafana

from files import DASHBOARD, dashboard, queries
from loopback.processes import ROOT

# The directories of spool and dead letters, and the connection to NATS, are shared by all targets.
OF_ALL_TARGETS = ["spool", "dead_letters", "shared_relays", "shared_connect"]

VARIABLES = ["datasource", "cluster", "namespace", "job", "instance", "target"]


def test_grafanas_own_types_read_it_and_lose_nothing_that_counts():
    read = grafana.Dashboard.from_json(dashboard())
    assert read.uid == "pyrotee"
    assert len(read.panels) == len(dashboard()["panels"])
    assert [variable.name for variable in read.templating.list_val] == VARIABLES


def test_every_panel_uses_the_chosen_datasource():
    for panel in dashboard()["panels"]:
        if panel["type"] == "row":
            continue
        for place in [panel, *panel["targets"]]:
            assert place["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


def test_every_query_follows_the_variables():
    for title, query in queries():
        for variable in VARIABLES[1:5]:
            assert f'{variable}=~"${variable}"' in query, f"{title}: {variable}"
        if "remote_write" in query and not any(word in query for word in OF_ALL_TARGETS):
            assert '"$target"' in query, title


def test_rates_are_taken_over_the_interval_that_fits_the_screen():
    for title, query in queries():
        for function in ["rate(", "increase("]:
            if function in query:
                assert "[$__rate_interval]" in query or "[$__range]" in query, title


def test_ids_are_unique_and_panels_do_not_overlap():
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = {}
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                other = taken.setdefault((x, y), panel["title"])
                assert other == panel["title"], f"{panel['title']} lies on {other}"


def test_every_panel_says_what_it_shows():
    titles = [panel["title"] for panel in dashboard()["panels"]]
    assert len(set(titles)) == len(titles)
    unclear = {"Threads", "Time since the start"}
    for panel in dashboard()["panels"]:
        if panel["type"] != "row" and panel["title"] not in unclear:
            assert panel.get("description"), panel["title"]


def test_it_is_where_the_chart_looks_for_it_and_fits_a_config_map():
    assert DASHBOARD == ROOT / "deploy/helm/pyrotee/dashboards/pyrotee.json"
    assert DASHBOARD.stat().st_size < 512 * 1024
