"""aihwkit's side of `kernels.py`, for an interpreter that has aihwkit: reads requests, times calls.

Each line of the input is a JSON object: `what` (`update`, `forward`, `backward`), `size`,
`samples`, `probability` (of a line to fire, for updates) and `seconds` (least time to measure).
The answer is a line with the CPU seconds of one call.

Updates are at a learning rate that makes both gains 1 (A = B = sqrt(rate / (dw_min * BL))), so
that a line of value p fires with probability p in each of 31 slots, as hwloop's does. Reads have
aihwkit's converters (7 and 9 bits, output noise 0.06) without noise and bound management, which
in hwloop are not part of a read.
"""

import json
import sys
import time

import torch
from aihwkit.simulator.configs import SingleRPUConfig
from aihwkit.simulator.configs.devices import SoftBoundsReferenceDevice
from aihwkit.simulator.parameters import (
    BoundManagementType,
    IOParameters,
    NoiseManagementType,
    UpdateParameters,
)
from aihwkit.simulator.tiles.analog import AnalogTile

SLOTS = 31
STEP = 0.001


def make_tile(size):
    reads = IOParameters(
        noise_management=NoiseManagementType.NONE, bound_management=BoundManagementType.NONE
    )
    config = SingleRPUConfig(
        device=SoftBoundsReferenceDevice(dw_min=STEP),
        forward=reads,
        backward=reads,
        update=UpdateParameters(
            desired_bl=SLOTS, update_management=False, update_bl_management=False
        ),
    )
    tile = AnalogTile(size, size, config, bias=False)
    tile.set_learning_rate(STEP * SLOTS)
    return tile.tile


def make_call(tile, request):
    shape = request["samples"], request["size"]
    if request["what"] == "update":
        x, d = (request["probability"] * torch.sign(torch.randn(shape)) for _ in range(2))
        return lambda: tile.update(x, d, False, False, False, False)
    codes = torch.randint(-63, 64, shape) / 63.0
    if request["what"] == "forward":
        return lambda: tile.forward(codes, False, False, False, False)
    return lambda: tile.backward(codes, False, False, False, False)


def seconds_per_call(call, least):
    call()
    calls = 1
    while True:
        begin = time.process_time()
        for _ in range(calls):
            call()
        spent = time.process_time() - begin
        if spent >= least:
            return spent / calls
        calls *= 2


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    tiles, calls = {}, {}
    for line in sys.stdin:
        request = json.loads(line)
        size = request["size"]
        if size not in tiles:
            tiles = {size: make_tile(size)}
            calls = {}
        if line not in calls:
            calls[line] = make_call(tiles[size], request)
        print(seconds_per_call(calls[line], request["seconds"]), flush=True)


if __name__ == "__main__":
    main()
