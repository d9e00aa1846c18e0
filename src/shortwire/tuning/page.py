"""The result as one self-contained HTML page, in the dress of the call report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources

import jinja2
from markupsafe import Markup

from .ranking import Rank
from .trial import FIGURES

__all__ = ["page"]

_TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>{{ css }}
table.tuned { border-collapse: collapse; width: 100%; }
.tuned th, .tuned td { text-align: left; padding: 7px 12px 7px 0; border-bottom: 1px solid var(--line); }
.tuned td.ms { font-variant-numeric: tabular-nums; white-space: nowrap; }
.tuned .bar { width: 180px; height: 14px; display: block; }
pre.env { background: var(--wash); padding: 14px 16px; border-radius: 10px; overflow-x: auto; font-size: 13px; }
</style></head><body><main>
<h1>{{ title }}</h1>
<p class="lede">{{ lede }}</p>
<ul class="facts">{% for name, text in facts %}<li>{{ name }} <b>{{ text }}</b></li>{% endfor %}</ul>
<section><div class="head"><h2>What each setting is worth</h2><span class="soft">median paired difference against the
reference and its 95 % interval, ms; to the right is slower</span></div>
<div class="card"><table class="tuned">
<tr><th>Instead of the reference</th>
{% for label in labels %}<th colspan="2">{{ label }}</th>{% endfor %}<th>lost calls</th></tr>
{% for row in rows %}<tr><td>{{ row.name }}</td>
{% for cell in row.cells %}<td class="ms">{{ cell.text }}</td><td>{% if cell.bar %}
<svg class="bar" viewBox="0 0 180 14">
<line x1="90" x2="90" y1="0" y2="14" stroke="currentColor" stroke-opacity=".3"/>
<line x1="{{ cell.bar.low }}" x2="{{ cell.bar.high }}" y1="7" y2="7" stroke="{{ cell.bar.colour }}" stroke-width="3"/>
<circle cx="{{ cell.bar.at }}" cy="7" r="4" fill="{{ cell.bar.colour }}"/></svg>{% endif %}</td>{% endfor %}
<td>{{ row.failed }}</td></tr>{% endfor %}
</table></div></section>
<section><div class="head"><h2>Settings to write</h2></div><pre class="env">{{ env }}</pre></section>
<section class="soft small"><p>{{ how }}</p></section>
</main></body></html>
"""

_HOW = (
    "Every round plays the same call once with each variant, in rotated order; differences are taken within a round. "
    "The interval is a percentile bootstrap of the median; where it holds zero, or where there are fewer than five "
    "pairs, there is no measurable effect, and that is what is said."
)


def page(ranks: Sequence[Rank], env: Sequence[str], facts: Mapping[str, str]) -> str:
    """The document."""
    everything = [found for entry in ranks for found in entry.effects.values() if found is not None]
    widest = max((abs(edge) for found in everything for edge in (found.low, found.high)), default=0.0) or 1.0
    certain = sum(1 for entry in ranks if entry.measurable)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_TEMPLATE).render(
        title="Which settings are worth it",
        lede=f"{certain} of {len(ranks)} variants differ measurably from the optimized profile on this network.",
        facts=list(facts.items()),
        labels=[label.capitalize() for label in FIGURES.values()],
        rows=[_row(entry, widest) for entry in ranks],
        env="\n".join(env),
        how=_HOW,
        css=Markup((resources.files("shortwire.report") / "assets" / "page.css").read_text("utf-8")),  # noqa: S704
    )


def _row(entry: Rank, widest: float) -> dict[str, object]:
    cells: list[dict[str, object]] = []
    for found in entry.effects.values():
        if found is None:
            cells.append({"text": "-", "bar": None})
            continue
        text = f"{found.difference:+.0f} ({found.low:+.0f} to {found.high:+.0f})" if found.measurable else "no effect"
        slower = "var(--bad)" if found.difference > 0 else "var(--good)"
        colour = slower if found.measurable else "var(--faint)"
        edges = {"low": found.low, "at": found.difference, "high": found.high}
        places = {name: round(90 + 84 * ms / widest, 1) for name, ms in edges.items()}
        cells.append({"text": text, "bar": {**places, "colour": colour}})
    return {"name": entry.variant.name, "cells": cells, "failed": entry.failed}
