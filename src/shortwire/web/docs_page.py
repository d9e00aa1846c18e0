"""/docs: the OpenAPI document as one page without a script.

The usual viewers are fetched from somebody else's host; this page works with no network and under
a content policy that allows nothing, which on a server that can dial telephones is worth more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment
from markupsafe import Markup, escape

__all__ = ["docs_page"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{ info.title }} API</title>
<style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1c1e21;background:#fff}
h2{margin-top:2.5rem;font-size:1.15rem} code,pre{font:14px/1.45 ui-monospace,monospace}
pre{background:#f4f5f7;padding:.8rem;overflow:auto;border-radius:6px} .m{font-weight:700}
table{border-collapse:collapse;width:100%}
td,th{text-align:left;vertical-align:top;padding:.25rem .8rem .25rem 0;border-bottom:1px solid #e3e5e8}
@media(prefers-color-scheme:dark){body{background:#16181b;color:#e6e7e9}pre{background:#22252a}td,th{border-color:#33373d}a{color:#8ab4ff}}
</style></head><body>
<h1>{{ info.title }} {{ info.version }}</h1>
<p>{{ info.summary }}. Machine-readable: <a href="/openapi.json">/openapi.json</a>.
Show the key as <code>Authorization: Bearer</code> or <code>X-API-Key</code>.</p>
{% for op in operations %}
<h2 id="{{ op.id }}"><span class="m">{{ op.method }}</span> <code>{{ op.path }}</code></h2>
<p>{{ op.summary }}{% if not op.keyed %} (no key needed){% endif %}</p>
{% if op.parameters %}<table><tr><th>parameter</th><th>in</th><th>meaning</th></tr>
{% for p in op.parameters %}<tr><td><code>{{ p.name }}</code></td><td>{{ p.in }}</td>
<td>{{ p.description or p.schema.description or "" }}</td></tr>{% endfor %}</table>{% endif %}
{% if op.body %}<p>Body (JSON):</p><pre>{{ op.body }}</pre>{% endif %}
<table><tr><th>answer</th><th>meaning</th></tr>
{% for status, text in op.answers %}<tr><td>{{ status }}</td><td>{{ text }}</td></tr>{% endfor %}</table>
{% endfor %}
<h2>Schemas</h2>
{% for name, schema in schemas %}<h3 id="{{ name }}">{{ name }}</h3><pre>{{ schema }}</pre>{% endfor %}
</body></html>
"""

_REFERENCE = re.compile(r"&#34;#/components/schemas/(\w+)&#34;")


def docs_page(document: dict[str, Any]) -> str:
    """HTML of an OpenAPI document; every text in it is escaped."""
    page = Environment(autoescape=True).from_string(_PAGE)
    schemas = document.get("components", {}).get("schemas", {})
    return page.render(
        info=document["info"],
        operations=[
            _operation(path, method, operation)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        ],
        schemas=[(name, _linked(schema)) for name, schema in schemas.items()],
    )


def _linked(schema: Any) -> Markup:
    """A schema as JSON in which the name of another one is a link to it."""
    text = str(escape(json.dumps(schema, indent=1)))
    return Markup(_REFERENCE.sub(r'<a href="#\1">\1</a>', text))  # noqa: S704 - escaped above


def _body(schema: Mapping[str, Any]) -> Markup:
    """What a request carries: the name of a schema below, or the schema itself."""
    return _linked(schema["$ref"] if list(schema) == ["$ref"] else schema)


def _operation(path: str, method: str, operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "summary": operation.get("summary", ""),
        "keyed": bool(operation.get("security")),
        "parameters": operation.get("parameters", []),
        "body": _body(content["schema"]) if content else "",
        "answers": [(status, answer.get("description", "")) for status, answer in operation["responses"].items()],
    }
