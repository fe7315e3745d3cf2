"""Alerts and dashboards say what the code counts, and each alert has a runbook and two tests."""

import json
import re
from collections.abc import Iterator
from typing import Any

from prometheus_client import Histogram
from prometheus_client.metrics import MetricWrapperBase

from footnote.telemetry import metrics
from tests import ROOT

RULES = (ROOT / "ops" / "prometheus" / "rules.yml").read_text()
TESTS = (ROOT / "ops" / "prometheus" / "rules_test.yml").read_text()
DASHBOARDS = {path.name: json.loads(path.read_text()) for path in sorted((ROOT / "ops" / "grafana").glob("*.json"))}
NAME = re.compile(r"\bfootnote_[a-z_]+[a-z]\b")


def declared() -> set[str]:
    """The names of all series: of what is counted, and of the gauges."""
    counted = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
    names = {sample.name for metric in counted for family in metric.collect() for sample in family.samples}
    for metric in counted:
        suffixes = ("_bucket", "_sum", "_count") if isinstance(metric, Histogram) else ("_total",)
        names |= {f"{metric._name}{suffix}" for suffix in suffixes}
    for module in ("footnote/operations/gauges.py", "footnote/telemetry/exposition.py"):
        names |= set(re.findall(r'"(footnote_[a-z_]+)"', (ROOT / module).read_text()))
    return names


def expressions(told: Any) -> Iterator[str]:
    if isinstance(told, dict):
        yield from (told["expr"],) if isinstance(told.get("expr"), str) else ()
        told = list(told.values())
    if isinstance(told, list):
        for each in told:
            yield from expressions(each)


def test_every_metric_in_rules_and_dashboards_exists() -> None:
    asked = set(NAME.findall(RULES)) | {
        name for each in DASHBOARDS.values() for told in expressions(each) for name in NAME.findall(told)
    }
    assert len(asked) > 30
    assert asked - declared() == set()


def test_every_metric_is_on_a_dashboard_or_in_a_rule() -> None:
    shown = {name for each in DASHBOARDS.values() for told in expressions(each) for name in NAME.findall(told)}
    shown |= set(NAME.findall(RULES))
    base = {re.sub("_(bucket|sum|count)$", "", name) for name in declared()}
    assert base - {re.sub("_(bucket|sum|count)$", "", name) for name in shown} == set()


def test_every_alert_has_a_runbook_and_is_tested_both_ways() -> None:
    alerts = re.findall(r"- alert: (\w+)", RULES)
    headings = re.findall(r"^## (\w+)$", (ROOT / "docs" / "runbooks.md").read_text(), re.MULTILINE)
    assert headings == alerts
    assert re.findall(r"runbook: docs/runbooks.md#(\w+)", RULES) == [name.lower() for name in alerts]
    for name in alerts:
        assert re.search(rf"alertname: {name}}}", TESTS), f"{name} stays silent"
        assert re.search(rf"alertname: {name}\n +exp_alerts:\n", TESTS), f"{name} fires"
