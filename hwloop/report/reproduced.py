"""The report of a reproduction: figures against targets, and pictures, on one page."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from matplotlib.figure import Figure

from hwloop.report.page import fill
from hwloop.report.style import png


def render_reproduced(content: Mapping[str, Any], pictures: Mapping[str, Figure]) -> str:
    """Return the report of a reproduction as HTML.

    Args:
        content: what `result.json` holds.
        pictures: pictures by their titles.
    """
    verdicts = Counter(check["verdict"] for check in content["checks"])
    return fill(
        "reproduced.html.j2",
        title=f"{content['name']}: {content['what']}",
        subtitle=f"{content['form'].capitalize()} form.",
        facts=[(verdict, str(count)) for verdict, count in verdicts.items()],
        checks=content["checks"],
        notes=content["notes"],
        pictures=[{"title": title, "image": png(figure)} for title, figure in pictures.items()],
    )
