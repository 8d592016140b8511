"""Names of locks that are made of a call's arguments: `"import:{user_id}"`."""

from __future__ import annotations

import inspect
import re
import string
from collections.abc import Callable
from typing import Any, TypeAlias

from leaselock._decorate import name_of
from leaselock._errors import InvalidArgumentError

Name: TypeAlias = str | Callable[..., str]
"""A text with a function's arguments in braces, or a function of the same arguments that gives the name."""


def namer(name: Name, func: Callable[..., object]) -> Callable[[tuple[Any, ...], dict[str, Any]], str]:
    """A function that gives the lock's name for the arguments of a call of `func`.

    Raises:
        InvalidArgumentError: The template names what `func` has no argument for.
    """
    if not isinstance(name, str):
        return lambda args, kwargs: name(*args, **kwargs)
    fields = fields_of(name)
    signature = inspect.signature(func)
    rest = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)
    for field in fields:
        if field not in signature.parameters and rest is None:
            has = ", ".join(signature.parameters) or "none"
            raise InvalidArgumentError(
                f"the name {name!r} has {{{field}}}, which is no argument of {name_of(func)}; its arguments: {has}"
            )

    def filled(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values = dict(bound.arguments)
        values |= values.pop(rest, {}) if rest else {}
        if missing := [field for field in fields if field not in values]:
            raise InvalidArgumentError(f"the name {name!r} has {{{missing[0]}}}, which this call did not give")
        return name.format_map(values)

    return filled


def fields_of(template: str) -> list[str]:
    """The arguments that a template names: `{order.id}` and `{order[id]}` name `order`.

    Raises:
        InvalidArgumentError: It is no template, or one with a number or nothing in braces.
    """
    try:
        found = [field for _, field, _, _ in string.Formatter().parse(template) if field is not None]
    except ValueError as error:
        text = f"the name {template!r} is no template ({error}); a brace that is meant as such is written twice"
        raise InvalidArgumentError(text) from None
    names = [re.split(r"[.\[]", field)[0] for field in found]
    if unnamed := [name for name in names if not name.isidentifier()]:
        raise InvalidArgumentError(
            f"the name {template!r} has {{{unnamed[0]}}}: write an argument's name in the braces"
        )
    return names
