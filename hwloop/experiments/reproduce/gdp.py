"""Gradient-descent programming against write-verify: error of products, and pulses spent.

Buechel et al. (IEDM 2022, arXiv 2305.16647) program by the errors of products with random vectors
in place of cell by cell. Both start from the same cells and get the same targets; both are judged
by products with vectors that neither has seen, read as a network would.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hwloop.crossbar import Chip, connect
from hwloop.experiments.reproduce.base import Check, Outcome, Reproduction, Request
from hwloop.experiments.reproduce.judging import at_most, beside
from hwloop.experiments.reproduce.stacked import ONE
from hwloop.operations import Direction
from hwloop.procedures import managed_vmm, program_by_gradients, write_verify
from hwloop.procedures.programming import REFERENCE, VISIBLE
from hwloop.random import host_generator
from hwloop.tape import NoTape

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEVICE, STATES = "soft-bounds-rasch", 100
SIZE = 32
TARGET_STD, TARGET_MOST = 0.2, 0.5
"""Targets are normal, cut where some cells could not reach them."""
ROUNDS = 60
GAIN_SPREADS = (0.0, 0.1)
"""Line-to-line spread of the converters' gain: products see it, and so does what is programmed."""
TEST_VECTORS = 500


@dataclass(frozen=True, slots=True)
class Programming:
    """What a way of programming reached.

    Attributes:
        way: `write-verify` or `gradients`.
        gain_spread: of the converters.
        product_error: root mean square of the products' errors, relative to that of the products.
        weight_error: root mean square of the cells' errors, device units.
        pulses: mean pulses of a cell.
        rounds: rounds of pulses.
    """

    way: str
    gain_spread: float
    product_error: float
    weight_error: float
    pulses: float
    rounds: int


def target(seed: int) -> NDArray[np.float32]:
    """Return the target weights of a seed, device units."""
    drawn = host_generator(seed, "programming target").normal(0, TARGET_STD, (SIZE, SIZE))
    return np.clip(drawn, -TARGET_MOST, TARGET_MOST).astype(np.float32)


def program(way: str, gain_spread: float, seed: int, rounds: int) -> Programming:
    """Program a tile; return what was reached."""
    wanted = target(seed)
    url = f"sim:{DEVICE},states={STATES},shape={SIZE}x{SIZE},seed={seed},gain_spread={gain_spread}"
    with connect(url, tape=NoTape()) as chip:
        tile, granularity = chip[0], 2 / STATES
        if way == "gradients":
            by_products = program_by_gradients(
                chip,
                tile,
                wanted,
                granularity=granularity,
                tolerance=1e-4,
                rounds=rounds,
                seed=seed,
            )
            pulses, used = by_products.pulses, by_products.rounds
        else:
            reference = chip.snapshot()[0].view(np.float32)[REFERENCE]
            capabilities = tile.capabilities
            siemens = capabilities.middle_siemens + capabilities.cell_siemens * (wanted + reference)
            by_cells = write_verify(
                chip,
                tile,
                siemens.ravel(),
                tolerance_siemens=granularity / 2 * capabilities.cell_siemens,
                rounds=rounds,
            )
            pulses, used = by_cells.pulses, int(by_cells.rounds.max())
        return _judged(chip, way, gain_spread, wanted, float(pulses.mean()), used, seed)


def _judged(
    chip: Chip,
    way: str,
    gain_spread: float,
    wanted: NDArray[np.float32],
    pulses: float,
    rounds: int,
    seed: int,
) -> Programming:
    generator = host_generator(seed, "programming test")
    x = generator.uniform(-1, 1, (TEST_VECTORS, SIZE)).astype(np.float32)
    right = x @ wanted.T
    apart = managed_vmm(chip, chip[0], ONE, Direction.FORWARD, x) - right
    planes = chip.snapshot()[0].view(np.float32)
    cells = planes[VISIBLE] - planes[REFERENCE] - wanted
    return Programming(
        way,
        gain_spread,
        float(np.sqrt(np.mean(apart**2) / np.mean(right**2))),
        float(np.sqrt(np.mean(cells**2))),
        pulses,
        rounds,
    )


def run(request: Request) -> Outcome:
    """Run the quick or the full form."""
    seeds = (1, 2, 3, 4, 5) if request.full else (1,)
    rounds = ROUNDS if request.full else 30
    found: list[Programming] = []
    for gain_spread in GAIN_SPREADS:
        for way in ("write-verify", "gradients"):
            found += [program(way, gain_spread, seed, rounds) for seed in seeds]
            error, pulses = _mean(found, way, gain_spread)
            request.tell(
                f"{way}, gain spread {gain_spread:g}: error of products {error:.3f}, "
                f"{pulses:.1f} pulses per cell"
            )
    content = {"runs": [asdict(one) for one in found]}
    return Outcome(tuple(judge(found)), content, {"programming": _picture(found)})


def _mean(found: list[Programming], way: str, gain_spread: float) -> tuple[float, float]:
    mine = [one for one in found if (one.way, one.gain_spread) == (way, gain_spread)]
    error = float(np.mean([one.product_error for one in mine]))
    return error, float(np.mean([one.pulses for one in mine]))


def judge(found: list[Programming]) -> list[Check]:
    """Return the checks: both program, and only products correct what converters do to them."""
    checks = []
    for gain_spread in GAIN_SPREADS:
        cells, cell_pulses = _mean(found, "write-verify", gain_spread)
        products, product_pulses = _mean(found, "gradients", gain_spread)
        where = f"gain spread {gain_spread:g}"
        checks += [
            at_most(f"write-verify, {where}: error of products", 0.25, cells),
            at_most(f"gradients, {where}: error of products", 0.25, products),
            at_most(
                f"gradients over write-verify, {where}: error of products",
                1.0,
                products / cells,
                "paper: gradients are better, +1.26 % accuracy on two PCM cores",
            ),
            beside(
                f"gradients over write-verify, {where}: pulses",
                "the paper gives none",
                f"{product_pulses / cell_pulses:.2f} ({product_pulses:.1f} over {cell_pulses:.1f})",
            ),
        ]
    return checks


def _picture(found: list[Programming]) -> Figure:
    from matplotlib.figure import Figure

    from hwloop.report.style import ANALOG, FLOAT, style

    with style():
        figure = Figure(figsize=(5.5, 3.4), layout="constrained")
        axes = figure.subplots()
        for way, colour in (("write-verify", FLOAT), ("gradients", ANALOG)):
            for gain_spread, marker in zip(GAIN_SPREADS, "ox", strict=True):
                mine = [f for f in found if (f.way, f.gain_spread) == (way, gain_spread)]
                x, y = [f.pulses for f in mine], [100 * f.product_error for f in mine]
                label = f"{way}, gain spread {gain_spread:g}"
                axes.plot(x, y, marker, color=colour, label=label)
        axes.set(xlabel="pulses per cell", ylabel="error of products, %", xlim=(0, None))
        axes.set_ylim(0, 1.5 * axes.get_ylim()[1])
        axes.legend(loc="upper left")
        return figure


REPRODUCTION = Reproduction(
    name="gdp",
    what="gradient-descent programming against write-verify (Buechel et al. 2022)",
    quick="about 5 seconds",
    full="about 1 minute",
    run=run,
)
