"""URLs of arrays, and the backends that they name."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Protocol

from hwloop.backend.protocol import CrossbarBackend
from hwloop.errors import ConfigurationError

ENTRY_POINT_GROUP = "hwloop.backends"


class BackendFactory(Protocol):
    """What an entry point names: opens a backend from the parts of a URL."""

    def __call__(self, address: str, options: dict[str, str]) -> CrossbarBackend:
        """Open the array; unknown options are a `ConfigurationError`."""
        ...


def split_url(url: str) -> tuple[str, str, dict[str, str]]:
    """Split `scheme:address,key=value,...` into scheme, address and options.

    Raises:
        ConfigurationError: no scheme, or an option without `=` or given twice.
    """
    scheme, colon, rest = url.partition(":")
    if not colon or not scheme:
        raise ConfigurationError(
            f"backend URL {url!r} has no scheme",
            remedy="write for example sim:reram-om,shape=64x64,seed=1",
        )
    address, *pairs = rest.split(",")
    if "=" in address and not address.startswith(("/", ".")) and "://" not in address:
        pairs, address = [address, *pairs], ""
    options: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key or not value:
            raise ConfigurationError(
                f"backend URL {url!r}: option {pair!r} is not key=value",
                remedy="separate options by commas, for example shape=64x64,seed=1",
            )
        if key in options:
            raise ConfigurationError(f"backend URL {url!r}: option {key!r} is given twice")
        options[key] = value
    return scheme, address, options


def schemes() -> dict[str, EntryPoint]:
    """Return the installed backends by the scheme of their URLs."""
    return {point.name: point for point in entry_points(group=ENTRY_POINT_GROUP)}


def open_backend(url: str) -> CrossbarBackend:
    """Open the backend that a URL names.

    Raises:
        ConfigurationError: unknown scheme or option.
    """
    scheme, address, options = split_url(url)
    known = schemes()
    if scheme not in known:
        raise ConfigurationError(
            f"backend URL {url!r}: unknown scheme {scheme!r}",
            remedy=f"use one of {', '.join(sorted(known)) or '(no backend is installed)'}",
        )
    factory: BackendFactory = known[scheme].load()
    return factory(address, options)
