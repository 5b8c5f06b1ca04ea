"""YAML and JSON as device files use them: the types of JSON, no aliases, no key twice.

PyYAML's own rules would read `1e-4` as text, `no` as false, `1:30` as ninety and the last of two
equal keys.
"""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

_RULES = (
    ("tag:yaml.org,2002:bool", r"true|false", ["t", "f"]),
    ("tag:yaml.org,2002:null", r"null|~|", ["n", "~", ""]),
    ("tag:yaml.org,2002:int", r"[-+]?(?:0|[1-9][0-9]*)", list("-+0123456789")),
    (
        "tag:yaml.org,2002:float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.inf|\.nan",
        list("-+0123456789."),
    ),
)


class _Loader(yaml.SafeLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # An alias of aliases can stand for gigabytes.
        if self.check_event(yaml.AliasEvent):
            event = self.get_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, "aliases are not allowed", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue  # refused below, as no device file has such keys
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} is given twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # Only between double quotes are line separators other than \n escaped, and thereby kept.
    plain = text.replace("\n", "").isprintable()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, None if plain else '"')


_Dumper.add_representer(str, _text_node)
for _class in (_Loader, _Dumper):
    _class.yaml_implicit_resolvers = {}
    for _tag, _pattern, _first in _RULES:
        _compiled = re.compile(f"^(?:{_pattern})$")
        _class.add_implicit_resolver(_tag, _compiled, _first)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} is given twice")
    return found


def parse(text: str) -> Any:
    """Return the plain values of a YAML or JSON document.

    Raises:
        yaml.YAMLError: the text is neither, or uses what device files do not.
    """
    try:
        if text.lstrip().startswith("{"):
            try:
                return json.loads(text, object_pairs_hook=_each_key_once)
            except json.JSONDecodeError:
                pass  # YAML in braces, or a mistake that the YAML parser finds too
        return yaml.load(text, _Loader)  # a SafeLoader with fewer rules
    except RecursionError:
        raise yaml.YAMLError("nested too deeply") from None


def dump(content: Any) -> str:
    """Return a YAML document that `parse` reads back to equal values."""
    return yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)
