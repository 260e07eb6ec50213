"""tashi-metrics: the controller's samples in Prometheus' text format, version 0.0.4.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tashi.cli.call import Call
from tashi.model.metrics import METRICS, Metric

_ESCAPED = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def print_metrics(call: Call) -> None:
    """Print all metrics, or nothing when the controller does not answer."""
    answer = call.client.ask("metrics", {})
    call.output.text(exposition([*answer.ok["samples"], *json.loads(answer.rows)["samples"]]))


def exposition(samples: Iterable[dict[str, Any]]) -> str:
    """HELP, TYPE and samples of each metric of the table that has any; others are a newer controller's."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for sample in samples:
        by_name.setdefault(sample["name"], []).append(sample)
    return "".join(_family(metric, by_name[metric.name]) for metric in METRICS if metric.name in by_name)


def _family(metric: Metric, samples: list[dict[str, Any]]) -> str:
    lines = [f"# HELP {metric.name} {metric.doc}", f"# TYPE {metric.name} {metric.kind}"]
    for sample in samples:
        pairs = zip(metric.labels, sample.get("labels", ()), strict=True)
        labels = ",".join(f'{label}="{value.translate(_ESCAPED)}"' for label, value in pairs)
        lines.append(f"{metric.name}{f'{{{labels}}}' if labels else ''} {sample['value']}")
    return "\n".join(lines) + "\n"
