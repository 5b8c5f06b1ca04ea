"""The tables of the protocol page."""

from __future__ import annotations

from enum import IntEnum

from hwloop_wire.codes import ENUMERATIONS, OPERATION_BITS
from hwloop_wire.header import snake
from hwloop_wire.layout import Body
from hwloop_wire.messages import DICTIONARY, MESSAGES, PARTS, STRUCTURES


def messages() -> str:
    """Return the section of all messages."""
    structures = [s for s in STRUCTURES if s.__name__ not in ("FrameHeader", "MessageHeader")]
    blocks = [f"Dictionary: `{DICTIONARY:08x}`."]
    for names in ENUMERATIONS:
        blocks.append(_enumeration(names))
    bits = ", ".join(f"{kind} {bit}" for kind, bit in OPERATION_BITS.items())
    blocks.append(f"**Operation bits**: {bits}.")
    blocks += [_body(body, fixed=False) for body in structures]
    blocks += [_body(body, fixed=body in PARTS) for body in MESSAGES]
    return "\n\n".join(blocks)


def _enumeration(names: type[IntEnum]) -> str:
    title = "Error" if names.__name__ == "ErrorCode" else names.__name__
    if len(names) > 5:
        rows = [f"| {m.value} | {m.name} | {getattr(m, 'meaning', '')} |" for m in names]
        return "\n".join([f"**{title}**", "", "| | | |", "|---|---|---|", *rows])
    members = [f"{m.value} {m.name} ({getattr(m, 'meaning', '')})" for m in names]
    return f"**{title}**: {', '.join(members)}."


def _body(body: type[Body], *, fixed: bool) -> str:
    name = snake(body.__name__).upper()
    title = f"### {name}" + ("" if body.NUMBER is None else f" ({body.NUMBER})")
    text = [title, "", *(line.strip() for line in (body.__doc__ or "").splitlines())]
    rows = [
        f"| {p.offset} | {'reserved' if p.type[0] == 'x' else p.name} | {_type(p.type)} "
        f"| {p.meaning} |"
        for p in body.PLACES
        if not (fixed and p.offset < 24)
    ]
    if fixed:
        rows.insert(0, "| 0 | the fields of PART | | |")
    rows += [f"| | {a.name} | {a.type} | {a.extent}: {a.meaning} |" for a in body.TAIL]
    while text[-1] == "":
        text.pop()
    if rows:
        head = ["| offset | field | type | meaning |", "|---|---|---|---|"]
        text += ["", *head, *rows]
    if not body.PLACES:
        text += ["", "No fields."]
    return "\n".join(text)


def _type(kind: str) -> str:
    return f"{kind[1:]} x u8" if kind[0] == "x" else kind
