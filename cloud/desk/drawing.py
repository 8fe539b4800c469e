"""The diagram of docs/alarm-desk.md, drawn from the tables of `cloud.desk.life`."""

import re
from collections.abc import Iterator
from pathlib import Path

from cloud.desk.life import CONDITION, VOICES, Clears, Event, State

PAGE = Path(__file__).parents[2] / "docs" / "alarm-desk.md"
_HEARD = "heard"
_DRAWN = re.compile(r"```mermaid\n.*?```\n", re.DOTALL)


def draw() -> str:
    """Write the tables as a Mermaid state diagram; events that change nothing are left out."""
    lines = ["stateDiagram-v2", f"    state {_HEARD} {{", f"        [*] --> {_name(State.UNACKNOWLEDGED)}: raise"]
    lines += [f"        {_name(state)}: {_title(state)}" for state in CONDITION]
    labels: dict[tuple[State, State], list[str]] = {}
    for state, to, label in _steps():
        labels.setdefault((state, to), []).append(label)
    lines += [f"        {_name(state)} --> {_name(to)}: {', '.join(words)}" for (state, to), words in labels.items()]
    lines.append("    }")
    for state, voice in VOICES.items():
        lines.append(f"    {_name(state)}: {_title(state)}")
        lines.append(f"    {_HEARD} --> {_name(state)}: {voice.begins}")
        lines.append(f"    {_name(state)} --> {_HEARD}: {voice.ends}")
    return "```mermaid\n" + "\n".join(lines) + "\n```\n"


def drawn_into(page: str) -> str:
    """Put the diagram in the place of the one that the page has."""
    return _DRAWN.sub(lambda _old: draw(), page, count=1)


def _steps() -> Iterator[tuple[State, State, str]]:
    for state, row in CONDITION.items():
        for event, outcome in row.items():
            if event is Event.RETRIGGER:
                # As a raise.
                continue
            if isinstance(outcome, Clears):
                yield state, outcome.plain, event.value
                yield state, outcome.latching, f"{event.value}, latching"
            elif outcome is not state:
                yield state, outcome, event.value


def _name(state: State) -> str:
    return state.value.replace("-", "_")


def _title(state: State) -> str:
    words = state.value.replace("-", " ")
    return f"{words} ({state.letter})" if state.letter else words


if __name__ == "__main__":
    PAGE.write_text(drawn_into(PAGE.read_text("utf-8")), encoding="utf-8")
