"""What the kinds of devices are called. A kind of somebody's own profiles is called as it is written there. Pure."""

from cloud.grafana.board import Context
from cloud.i18n import N_

_NAMES = {
    "alarm-host": N_("Alarm hosts"),
    "climate-sensor": N_("Climate sensors"),
    "door-contact": N_("Door contacts"),
    "flame-detector": N_("Flame detectors"),
    "gas-sensor": N_("Gas sensors"),
    "gps": N_("GPS receivers"),
    "io-module": N_("Input and output modules"),
    "light-sensor": N_("Light sensors"),
    "panic-button": N_("Panic buttons"),
    "particle-sensor": N_("Particle sensors"),
    "patrol-wand": N_("Patrol wands"),
    "power-meter": N_("Power meters"),
    "radio-button": N_("Radio buttons"),
    "rain-gauge": N_("Rain gauges"),
    "relay-module": N_("Relay modules"),
    "smoke-detector": N_("Smoke detectors"),
    "soil-sensor": N_("Soil sensors"),
    "solar-charger": N_("Solar chargers"),
    "tag-reader": N_("Tag readers"),
    "ups": N_("Uninterruptible supplies"),
    "vehicle-terminal": N_("Vehicle terminals"),
    "weather-station": N_("Weather stations"),
    "wind-sensor": N_("Wind sensors"),
}


def title_of(context: Context, kind: str) -> str:
    """Name a kind in the language of the dashboards."""
    return context.say(_NAMES[kind]) if kind in _NAMES else kind
