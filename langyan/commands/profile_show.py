"""`langyan profile show`: one profile as people read it."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from device_profiles.model import CombinationRule, HeardDef, PointDef, Profile, Rule, Text
from langyan.i18n import CHINESE, language
from langyan.i18n import translate as _
from langyan.profile_page import is_composed, link_words


def said(text: Text) -> str:
    """Give a text in the language of the terminal."""
    return text["zh" if language() == CHINESE else "en"]


def print_profile(profile: Profile) -> None:
    """Print everything a technician or a developer asks of a profile."""
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{profile.profile}: {profile.maker} {profile.model}")
    console.print(said(profile.title))
    console.print(_("kind {kind}, version {version}").format(kind=profile.kind, version=profile.version))
    console.print(link_words(profile))
    console.print(_("lost after {seconds:g} s of silence").format(seconds=profile.supervision_s))
    tested = "; ".join(profile.tested_on) or _("nothing yet")
    console.print(_("tried on: {devices}").format(devices=tested))
    if profile.points:
        Console(highlight=False).print(_points(profile))
    if profile.rule:
        Console(highlight=False).print(_rules(profile.rule))
    composed = sum(is_composed(capture) for capture in profile.capture)
    text = _("captures: {printed} by the maker or a device, {composed} composed by hand")
    console.print(text.format(printed=len(profile.capture) - composed, composed=composed))
    for caveat in profile.caveat:
        console.print(f"! {caveat.text} ({caveat.source})")
    for source in profile.sources:
        console.print(_("source: {source}").format(source=source))


def _points(profile: Profile) -> Table:
    table = _table(_("point"), _("name"), _("measured in"), _("range"), _("where"), _("every"))
    for point in profile.points:
        limits = "" if point.range is None else f"{point.range[0]:g} ... {point.range[1]:g}"
        every = f"{point.every_s:g} s" if point.every_s else ""
        table.add_row(point.key, said(point.name), point.unit or "", limits, _where(point), every)
    return table


def _table(first: str, *headings: str) -> Table:
    """A table whose first column is never cut."""
    table = Table(box=None)
    table.add_column(first, no_wrap=True)
    for heading in headings:
        table.add_column(heading)
    return table


def _where(point: PointDef | HeardDef) -> str:
    if isinstance(point, HeardDef):
        return point.kind.value
    return f"{point.table.value} {point.address} {point.type.value}"


def _rules(rules: Sequence[Rule]) -> Table:
    table = _table(_("rule"), _("alarm"), _("severity"), _("text"), _("points"))
    for rule in rules:
        watched = rule.members if isinstance(rule, CombinationRule) else rule.points
        table.add_row(rule.key, rule.alarm, rule.severity.value, said(rule.text), ", ".join(watched))
    return table
