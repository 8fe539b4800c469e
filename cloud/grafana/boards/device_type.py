"""A dashboard for each kind of device, made from the profiles of that kind: their points, units and ranges."""

from collections.abc import Iterator

from cloud.grafana.board import Board, Context


def boards(context: Context) -> Iterator[Board]:
    """Build one for each kind among the profiles, sorted by kind."""
    kinds = sorted({profile.kind for profile in context.profiles})
    for kind in kinds:
        yield Board(context, f"langyan-kind-{kind}"[:40], kind, words=kind)
