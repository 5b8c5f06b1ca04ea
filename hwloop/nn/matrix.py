"""A weight matrix on tiles: reads through the converters, and what training records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hwloop.controllers import Controller, ReadTerm
from hwloop.crossbar import Chip, Tile
from hwloop.errors import ConfigurationError
from hwloop.operations import Direction
from hwloop.procedures import Management, TileRead, Written, managed_vmms
from hwloop.weights import WeightMap

Vectors = NDArray[np.float32]

CHUNK = 8192
"""Most vectors of a matrix that are read, or made updates of, at once."""

TRACE_BYTES_MAX = 2**30
"""Most memory that a matrix's recorded vectors may take before a step."""


class Recording(Protocol):
    """What one backward pass leaves for the optimizer: vectors, or what they are cut out of."""

    @property
    def batch(self) -> int:
        """Examples that a mean loss averages over: the first axis of the layer's input."""
        ...

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        ...

    def __len__(self) -> int:
        """Return the number of vectors."""
        ...

    def vectors(self, start: int, stop: int) -> tuple[Vectors, Vectors]:
        """Return activations and gradients, shapes (stop - start, n_in) and (.., n_out)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """Vectors as they are.

    Attributes:
        x: activations, shape (samples, n_in).
        gradient: gradient of the loss by the outputs, shape (samples, n_out).
        batch: examples that a mean loss averages over.
    """

    x: Vectors
    gradient: Vectors
    batch: int

    @property
    def nbytes(self) -> int:
        """Memory that they take."""
        return self.x.nbytes + self.gradient.nbytes

    def __len__(self) -> int:
        """Return the number of vectors."""
        return len(self.x)

    def vectors(self, start: int, stop: int) -> tuple[Vectors, Vectors]:
        """Return some of the vectors."""
        return self.x[start:stop], self.gradient[start:stop]


@dataclass(slots=True, eq=False)
class Block:
    """The part of a matrix that one tile holds, from the tile's first row and column on.

    Attributes:
        controller: controller of the part.
        tiles: all its tiles, that of the weights first.
        rows, cols: which part it is.
        written: what `convert` wrote into the tile, or None.
        line_gains: factors by which the conductances of the rows are larger than the weights ask
            for, which is undone digitally; shape (rows,), None for 1.
    """

    controller: Controller
    tiles: tuple[Tile, ...]
    rows: slice
    cols: slice
    written: Written | None = None
    line_gains: Vectors | None = None

    def inputs(self, x: Vectors) -> Vectors:
        """Return the part's activations, as many as its tile has columns."""
        return _padded(x[:, self.cols], self.controller.forward_tile.cols)

    def errors(self, d: Vectors) -> Vectors:
        """Return the part's errors, as many as its tile has rows."""
        part = d[:, self.rows] if self.line_gains is None else d[:, self.rows] / self.line_gains
        return _padded(part, self.controller.forward_tile.rows)

    def outputs(self, products: Vectors) -> Vectors:
        """Return the weighted sums of the part's rows from those of its tile."""
        part = products[:, : self.rows.stop - self.rows.start]
        return part if self.line_gains is None else part / self.line_gains


class CrossbarMatrix:
    """A weight matrix on the tiles of an array, divided over both axes where it is too large.

    Partial sums of blocks side by side are added up digitally, behind the converters; each tile's
    inputs are scaled by themselves. All reads of all blocks go out as one submission, plus one per
    round of bound management; more vectors than `chunk` take several.

    Args:
        chip: the array.
        blocks: the parts; they cover the matrix.
        weights: mapping of all tiles.
        management: how vectors are fitted to the converters.
        chunk: most vectors that are read, or made updates of, at once.

    Attributes:
        chip, blocks, weights, management, chunk: as given.
        out_features, in_features: shape of the matrix.
        trains: whether backward passes record.
        trace: what backward passes have recorded since the last step.
        anchor: makes autograd call backward also where the inputs need no gradient.
    """

    def __init__(
        self,
        chip: Chip,
        blocks: Sequence[Block],
        weights: WeightMap,
        management: Management | None = None,
        chunk: int = CHUNK,
    ) -> None:
        if chunk < 1:
            raise ConfigurationError(f"chunk is {chunk}, expected 1 or more vectors")
        self.chip = chip
        self.blocks = tuple(blocks)
        self.weights = weights
        self.management = management or Management()
        self.chunk = chunk
        self.out_features: int = max(block.rows.stop for block in blocks)
        self.in_features: int = max(block.cols.stop for block in blocks)
        self.trains = True
        self.trace: list[Recording] = []
        # Autograd calls backward only if some input asks for a gradient; the first layer's data do
        # not. The optimizer lists the anchors as its analog parameters.
        self.anchor = torch.zeros(0, requires_grad=True)

    def read(self, direction: Direction, vectors: Vectors) -> Vectors:
        """Return the weights' products with vectors, as the converters give them.

        Args:
            direction: forward gives `W x` per vector, backward `W^T d`.
            vectors: float32, shape (samples, driven lines).
        """
        if len(vectors) <= self.chunk:
            return self._read(direction, vectors)
        parts = range(0, len(vectors), self.chunk)
        return np.concatenate([self._read(direction, vectors[i : i + self.chunk]) for i in parts])

    def read_weights(self, average: int = 1) -> Tensor:
        """Read the weights cell by cell through the converters, shape (n_out, n_in).

        Args:
            average: number of reads of each cell that the array averages.
        """
        total = np.zeros((self.out_features, self.in_features), np.float32)
        terms = [(block, term) for block in self.blocks for term in block.controller.read_terms()]
        operations = [term.tile.new_read_cells(average=average) for _, term in terms]
        for (block, term), result in zip(
            terms, self.chip.submit(operations).results(), strict=True
        ):
            assert result.values is not None
            scale = term.factor * self.weights.cell_lsb(term.tile.capabilities) / average
            cells = result.values * np.float32(scale)
            if term.offset is not None:
                cells -= term.offset * np.float32(term.factor * self.weights.weight_per_unit)
            if term.out_signs is not None:
                cells *= term.out_signs[:, None]
            if term.in_signs is not None:
                cells *= term.in_signs
            part = total[block.rows, block.cols]
            held = cells[: part.shape[0], : part.shape[1]].astype(np.float32)
            part += held if block.line_gains is None else held / block.line_gains[:, None]
        return torch.from_numpy(total)

    def record(self, recording: Recording) -> None:
        """Add the vectors of a backward pass to the trace."""
        if not self.trains or not len(recording):
            return
        self.trace.append(recording)
        held = sum(r.nbytes for r in self.trace)
        if held > TRACE_BYTES_MAX:
            raise ConfigurationError(
                f"backward passes without a step have recorded {held} bytes in one layer",
                remedy="call step(), or zero_grad() to forget them; evaluate under torch.no_grad()",
            )

    def recorded_chunks(self) -> Iterator[tuple[Vectors, Vectors]]:
        """Yield the trace's activations and gradients, in order, at most `chunk` at a time."""
        held: list[tuple[Vectors, Vectors]] = []
        free = self.chunk
        for recording in self.trace:
            start = 0
            while start < len(recording):
                stop = min(len(recording), start + free)
                held.append(recording.vectors(start, stop))
                free -= stop - start
                start = stop
                if not free:
                    yield _joined(held)
                    held, free = [], self.chunk
        if held:
            yield _joined(held)

    def _read(self, direction: Direction, vectors: Vectors) -> Vectors:
        forward = direction is Direction.FORWARD
        terms = [(block, term) for block in self.blocks for term in block.controller.read_terms()]
        reads = []
        for block, term in terms:
            driven = block.inputs(vectors) if forward else block.errors(vectors)
            signs = term.in_signs if forward else term.out_signs
            if signs is not None:
                driven = driven * signs.astype(np.float32)
            reads.append(TileRead(term.tile, self.weights, driven))
        parts = managed_vmms(self.chip, reads, direction, self.management)
        lines = self.out_features if forward else self.in_features
        total: Vectors | None = None
        for (block, term), read, products in zip(terms, reads, parts, strict=True):
            part = self._term(term, forward, read.vectors, products)
            place = block.rows if forward else block.cols
            if forward and block.line_gains is not None:
                part = block.outputs(part)
            if total is None and place == slice(0, lines) and part.shape[1] == lines:
                total = part  # mostly all there is
                continue
            if total is None:
                total = np.zeros((len(vectors), lines), np.float32)
            total[:, place] += part[:, : place.stop - place.start]
        assert total is not None
        return total

    def _term(self, term: ReadTerm, forward: bool, vectors: Vectors, products: Vectors) -> Vectors:
        if term.offset is not None:
            offset = term.offset * np.float32(self.weights.weight_per_unit)
            products -= vectors @ (offset.T if forward else offset)
        if term.factor != 1:
            products *= np.float32(term.factor)
        signs = term.out_signs if forward else term.in_signs
        if signs is not None:
            products *= signs.astype(np.float32)
        return products


def _padded(vectors: Vectors, lines: int) -> Vectors:
    """Return vectors with zeros behind them, for the lines of a tile that no weight is on."""
    if vectors.shape[1] == lines:
        return vectors
    padded = np.zeros((len(vectors), lines), np.float32)
    padded[:, : vectors.shape[1]] = vectors
    return padded


def _joined(parts: list[tuple[Vectors, Vectors]]) -> tuple[Vectors, Vectors]:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate([x for x, _ in parts]), np.concatenate([d for _, d in parts])
