"""Faults for trying a driver: a link that loses, changes, doubles, delays, stalls and breaks."""

from hwloop.testing.link import FaultyLink, Link
from hwloop.testing.schedule import Schedule
from hwloop.testing.spec import LINK_POINTS, FaultSpec, Reboot, Stall

__all__ = ["LINK_POINTS", "FaultSpec", "FaultyLink", "Link", "Reboot", "Schedule", "Stall"]
