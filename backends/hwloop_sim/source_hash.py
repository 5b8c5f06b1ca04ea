"""The hash that ties the compiled core to the sources it was built from.

In an editable install the Python files run from the source tree, but the binaries do not:
scikit-build-core installs them into site-packages, and nothing rebuilds them when a C file changes;
hence this check. Its import hook merges the two directories, so that
``importlib.resources.files("hwloop_sim") / "_core"`` is the same expression for an editable install
and for a wheel. What it gives is a plain ``pathlib.Path`` in both, which ctypes and subprocess take
as it is. (``files("hwloop_sim")`` alone is a merged directory without a path of its own, and so
would ``_core`` be if the source tree had a directory of that name.)
"""

import hashlib
import sys
from pathlib import Path

from hwloop.errors import ConfigurationError

_TREE = Path(__file__).resolve().parents[2]
_CORE = _TREE / "firmware_stubs" / "core"


def source_hash(core_directory: Path) -> str:
    """Return the hash of a core's sources, by the rule of ``firmware_stubs/source_hash.cmake``."""
    files = sorted(
        (*core_directory.glob("*.c"), *core_directory.glob("*.h")), key=lambda file: file.name
    )
    lines = "".join(f"{file.name} {_sha256(file.read_bytes())}\n" for file in files)
    return _sha256(lines.encode())


def check_editable_tree(embedded_hash: str) -> None:
    """Refuse a compiled core that is not the one of the source tree this package runs from.

    A package installed from a wheel has no source tree beside it, and nothing to check.
    """
    if not _CORE.is_dir():
        return
    expected = source_hash(_CORE)
    if embedded_hash != expected:
        raise ConfigurationError(
            f"the compiled core is not the one of this source tree: it was built from sources with "
            f"hash {embedded_hash}, but {_CORE} has hash {expected}",
            remedy=f"rebuild it, in {_TREE}: "
            f"{sys.executable} -m pip install -c constraints.txt -e '.[train]'",
        )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
