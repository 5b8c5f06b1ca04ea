"""Backends: their protocol, what they may offer beside it, a base class, and their discovery."""

from hwloop.backend.blocking import BlockingBackend
from hwloop.backend.link import ChipCounters, LinkCounters, Linked
from hwloop.backend.offers import (
    Elsewhere,
    KeepsJournal,
    KnowsVerdicts,
    Outcome,
    RemembersIds,
    StandIn,
    TellsConfiguration,
    keeps_doses,
    moves_nothing,
    started_here,
)
from hwloop.backend.protocol import AbortReport, CrossbarBackend, Ticket
from hwloop.backend.urls import (
    ENTRY_POINT_GROUP,
    BackendFactory,
    open_backend,
    schemes,
    split_url,
)

__all__ = [
    "ENTRY_POINT_GROUP",
    "AbortReport",
    "BackendFactory",
    "BlockingBackend",
    "ChipCounters",
    "CrossbarBackend",
    "Elsewhere",
    "KeepsJournal",
    "KnowsVerdicts",
    "LinkCounters",
    "Linked",
    "Outcome",
    "RemembersIds",
    "StandIn",
    "TellsConfiguration",
    "Ticket",
    "keeps_doses",
    "moves_nothing",
    "open_backend",
    "schemes",
    "split_url",
    "started_here",
]
