"""The variables by which people choose: area, then site, gateway and device, each of what is in the one before."""

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as models

from cloud.grafana.board import Context
from cloud.grafana.influxql import DATASOURCE, below, chosen, of
from cloud.i18n import N_
from cloud.influx.schema import ALL_AREAS

LABEL_PATTERN = r"/^(?<text>.*) \[(?<value>[^\[\]]+)\]$/"
"""Takes apart what `cloud.influx.schema.label_of` wrote."""

_KNOWN = "time > now() - 1d"
# Whoever looks at a single cell comes there by a link; a list of thousands of them helps nobody.
_LEVELS = "all|province|city|county|town|street"


def area(context: Context) -> builders.QueryVariable:
    """Choose one area; everything unless somebody does."""
    question = f'SELECT last("label") FROM "area_state" WHERE {_KNOWN} AND "level" =~ /^({_LEVELS})$/ GROUP BY "area"'
    one = _variable(context, "area", N_("Area"), question)
    everything = models.VariableOption(selected=True, text=context.say(N_("Everything")), value=ALL_AREAS)
    return one.current(everything)


def site(
    context: Context, *, kind: str = "", measurement: str = "site_state", several: bool = False
) -> builders.QueryVariable:
    """Choose a site of the area; `kind`: a pattern of kinds of sites; `several`: many, all unless somebody does."""
    of_kind = f' AND "kind" =~ /^({kind})$/' if kind else ""
    question = f'SELECT last("label") FROM "{measurement}" WHERE {_KNOWN} AND {below()}{of_kind} GROUP BY "site"'
    return _variable(context, "site", N_("Site"), question, several=several)


def gateway(context: Context, *, several: bool = True) -> builders.QueryVariable:
    """Choose gateways of the site; all unless somebody does."""
    where = f"{_KNOWN} AND {below()} AND {chosen('site')}"
    question = f'SELECT last("label") FROM "gateway_state" WHERE {where} GROUP BY "gateway"'
    return _variable(context, "gateway", N_("Gateway"), question, several=several)


def device(context: Context, *, kind: str = "", several: bool = True) -> builders.QueryVariable:
    """Choose devices of the gateways; all unless somebody does."""
    of_kind = f" AND \"kind\" = '{kind}'" if kind else ""
    where = f"{_KNOWN} AND {chosen('site')} AND {chosen('gateway')}{of_kind}"
    question = f'SELECT last("label") FROM "device_state" WHERE {where} GROUP BY "gateway", "device"'
    return _variable(context, "device", N_("Device"), question, several=several)


def labelled(
    context: Context,
    name: str,
    title: str,
    measurement: str,
    tag: str,
    *,
    where: str = "",
    several: bool = True,
    since: str = "1d",
) -> builders.QueryVariable:
    """Choose by any measurement that has a `label`, as `vehicle_state` by its tag `vehicle`.

    Args:
        context: of the dashboards.
        name: of the variable.
        title: marked by `N_`.
        measurement: whose latest labels are asked for.
        tag: which tells its series apart, and is the value.
        where: a condition on its tags.
        several: many may be chosen, all unless somebody does.
        since: what was not written for so long is no choice.
    """
    also = f" AND {where}" if where else ""
    question = f'SELECT last("label") FROM {of(measurement)} WHERE time > now() - {since}{also} GROUP BY "{tag}"'
    return _variable(context, name, title, question, several=several)


def _variable(
    context: Context, name: str, title: str, question: str, *, several: bool = False
) -> builders.QueryVariable:
    variable = builders.QueryVariable(name).label(context.say(title)).datasource(DATASOURCE)
    variable.query(question).definition(question).regex(LABEL_PATTERN)
    variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED)
    variable.sort(models.VariableSort.ALPHABETICAL_CASE_INSENSITIVE_ASC)
    variable.multi(several).include_all(several)
    if several:
        variable.current(models.VariableOption(selected=True, text=["All"], value=["$__all"]))
    return variable
