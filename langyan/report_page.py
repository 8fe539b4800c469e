"""The report as one HTML page that needs nothing else: both languages, bars as inline SVG, no scripts, for printing."""

from collections.abc import Mapping, Sequence

import jinja2
import markupsafe

from langyan.report_text import Section

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ parts[0].title }}</title>
<style>
body { font: 11pt/1.4 "Noto Sans", "Noto Sans CJK SC", sans-serif; margin: 2em auto; max-width: 52em }
h1 { font-size: 1.4em } h2 { font-size: 1.1em; margin: 1.4em 0 .3em }
table { border-collapse: collapse; width: 100%; break-inside: avoid }
th, td { border-bottom: 1px solid #bbb; padding: .2em .5em; text-align: right }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere }
svg { vertical-align: middle }
.good td:last-child::before { content: "✓ "; color: #176117 }
.tolerable td:last-child::before { content: "! "; color: #8a5a00 }
.over td:last-child::before { content: "✗ "; color: #a01616 }
.good td:last-child { color: #176117 } .tolerable td:last-child { color: #8a5a00 }
.over td:last-child { color: #a01616; font-weight: bold }
section + section { break-before: page }
@page { margin: 15mm }
</style>
</head>
<body>
{% for part in parts %}
<section lang="{{ part.language }}">
<h1>{{ part.title }}</h1>
{% for table in part.sections if table.rows %}
<h2>{{ table.title }}</h2>
<table>
<thead><tr>{% for cell in table.headings %}<th scope="col">{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in table.rows %}
<tr{% if row.verdict %} class="{{ row.verdict.value }}"{% endif %}>
{%- for cell in row.cells %}<td>
{%- if loop.last and row.bar is not none %}
{{- bar(row.bar) }} {% endif %}{{ cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody>
</table>
{% endfor %}
{% for note in part.notes %}<p>{{ note }}</p>
{% endfor %}
</section>
{% endfor %}
</body>
</html>
"""
_BAR = jinja2.Environment(autoescape=True).from_string(
    '<svg width="80" height="10" role="img" aria-hidden="true"><rect width="80" height="10" fill="#e4e4e4"/>'
    '<rect width="{{ width }}" height="10" fill="#3b6ea5"/></svg>'
)
_BAR_WIDTH = 80


def write_page(parts: Sequence[Mapping[str, object]]) -> str:
    """Write the page; everything that is put in is escaped.

    Args:
        parts: one a language: `language` (a tag), `title`, `sections` (`Section`s), `notes`.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    return environment.from_string(_PAGE).render(parts=parts, bar=_bar)


def part(language: str, title: str, sections: Sequence[Section], notes: Sequence[str]) -> dict[str, object]:
    """Put together what `write_page` takes of one language."""
    return {"language": language, "title": title, "sections": list(sections), "notes": list(notes)}


def _bar(share: float) -> str:
    width = round(_BAR_WIDTH * min(1.0, max(0.0, share)), 1)
    return markupsafe.Markup(_BAR.render(width=width))  # noqa: S704 - written by a template that escapes
