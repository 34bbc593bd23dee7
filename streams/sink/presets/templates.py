"""Requests as JSON trees whose texts are templates: a language of expressions, without calls, loops and statements.

A text that is nothing but one `{{ expression }}` gives the value itself, of whatever type; any other text gives text.
A key or an item whose value is `omit` is left out.  Two forms stand for what texts cannot say: `{each: LIST, give:
TREE}` gives a list with the tree once for each `item`, and `{when: VALUE, give: TREE}` the tree if the value is true.

Templates come from whoever sets up an endpoint.  They see plain values only: no attribute of an object, no method, no
function.  What they can build is limited in size at every step.
"""

import difflib
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import msgspec
from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes
from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from msgspec import Struct

DEPTH_MAX: Final = 16
NODES_MAX: Final = 2_000
TEXT_CHARS_MAX: Final = 4_096
VALUE_CHARS_MAX: Final = 65_536
ITEMS_MAX: Final = 200

_FILTERS: Final = (
    "abs", "capitalize", "default", "first", "float", "int", "join", "last", "length", "list", "lower", "map", "max",
    "min", "reject", "rejectattr", "select", "selectattr", "sort", "string", "title", "trim", "unique",
    "upper", "urlencode",
)  # fmt: skip
"""Of Jinja's own; those that make much out of little (center, format, indent, replace, round) are not among them."""

_EXPRESSIONS: Final = (
    nodes.Name, nodes.Const, nodes.TemplateData, nodes.Getattr, nodes.Getitem, nodes.Slice, nodes.Filter, nodes.Test,
    nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Pos, nodes.Add,
    nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Concat, nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair,
    nodes.Keyword,
)  # fmt: skip
_FAILURES: Final = (TemplateError, ArithmeticError, LookupError, RecursionError, TypeError, ValueError)

Names = Mapping[str, Any]
Give = Callable[[Names], Any]


class UnusableTemplateError(ValueError):
    """A template cannot be used, or gives nothing; the text says where and why."""


class Omit:
    """The type of `omit`: what has this value is left out."""

    def __str__(self) -> str:
        """Refuse to be part of a text.

        Raises:
            TemplateRuntimeError: always.
        """
        raise TemplateRuntimeError("omit stands alone, with no text around it")


OMIT: Final = Omit()


class AddressText(str):
    """Text that goes into an address as it is; all other values are percent-encoded there."""

    __slots__ = ()


class NameUse(Struct, frozen=True):
    """A name that a template uses, with its attributes, and where; `guarded` where it may be missing."""

    place: str
    chain: tuple[str, ...]
    guarded: bool = False


class CompiledTemplate(Struct, frozen=True):
    """A tree ready to be filled in; `give` raises UnusableTemplateError."""

    give: Give
    uses: tuple[NameUse, ...]


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, narrowed to plain values: dictionaries have entries and no methods, and nothing is called."""

    intercepted_binops = frozenset({"*"})

    def __init__(self, finalize: Callable[[Any], Any] | None = None) -> None:
        super().__init__(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, finalize=finalize)
        own = {"clip": _clip, "json": _json, "round": _round, "stamp": _stamp}
        self.globals.clear()
        self.globals["omit"] = OMIT
        self.filters = {name: _bound(self.filters[name]) for name in _FILTERS}
        self.filters |= {name: _bound(function) for name, function in own.items()}
        self.filters["join"] = _join

    def getattr(self, obj: Any, attribute: str) -> Any:  # noqa: ANN401 - a template's value
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ANN401 - as above
        if isinstance(obj, dict) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        if isinstance(obj, list | tuple | str) and isinstance(argument, int) and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401 - as above
        if not all(isinstance(side, int | float) and abs(side) < 2**53 for side in (left, right)):
            raise SecurityError("only numbers can be multiplied")
        return super().call_binop(context, operator, left, right)


def _bound(function: Any) -> Callable[..., Any]:  # noqa: ANN401 - Jinja's own filters are typed as anything
    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - a filter's
        given = function(*arguments, **named)
        return _small(given) if isinstance(given, str) else given

    return call


def _small(text: str) -> str:
    if len(text) > VALUE_CHARS_MAX:
        raise SecurityError(f"a value has more than {VALUE_CHARS_MAX} characters")
    return str(text)


def _join(values: Iterable[Any], between: str = "") -> str:
    texts = [str(value) for value in values]
    if sum(map(len, texts)) + len(between) * len(texts) > VALUE_CHARS_MAX:
        raise SecurityError(f"a value has more than {VALUE_CHARS_MAX} characters")
    return between.join(texts)


def _clip(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: max(length - 1, 0)]}…"


def _json(value: Any) -> str:  # noqa: ANN401 - what JSON holds can be anything
    return msgspec.json.encode(value).decode()


def _round(value: float, digits: int = 0) -> float:
    return round(value, max(0, min(digits, 15)))


def _stamp(moment: str) -> str:
    return moment[:19].replace("T", " ")


def _quote(value: Any) -> str:  # noqa: ANN401 - a template's value
    if isinstance(value, AddressText):
        return value
    text = "" if value is None else str(value)
    if text in {"", ".", ".."}:
        raise TemplateRuntimeError("a part of the address is empty")
    return quote(text, safe="")


_TEXTS: Final = _Sandbox()
_ADDRESSES: Final = _Sandbox(_quote)


def compile_tree(tree: Any, place: str) -> CompiledTemplate:  # noqa: ANN401 - what JSON holds can be anything
    """Compile a tree; `place` says what it is in messages.

    >>> compile_tree({"n": "{{ a.n }}", "t": "n={{ a.n }}", "x": "{{ omit }}"}, "body").give({"a": {"n": 1}})
    {'n': 1, 't': 'n=1'}

    Raises:
        UnusableTemplateError: it is no JSON, too large, or a text in it is no template.
    """
    uses: list[NameUse] = []
    return CompiledTemplate(_Compiler(uses).tree(tree, place, 0), tuple(uses))


def compile_address(text: str, place: str) -> CompiledTemplate:
    """Compile an address, in which every value but an `AddressText` is percent-encoded.

    >>> compile_address("{{ at }}/{{ id }}", "url").give({"at": AddressText("https://a.example/x"), "id": "1/2?"})
    'https://a.example/x/1%2F2%3F'

    Raises:
        UnusableTemplateError: it is no template.
    """
    uses: list[NameUse] = []
    template = _parse(_ADDRESSES, text, place)
    uses.extend(_uses(template, place))
    ready = _ADDRESSES.from_string(text)
    return CompiledTemplate(lambda names: _render(ready, names, place), tuple(uses))


def unknown_names(uses: Iterable[NameUse], names: Names) -> Iterator[str]:
    """Yield one line for each name that is used and not there, with those that are near; `item` is not looked at."""
    for use in uses:
        if use.guarded or use.chain[0] in {"item", "omit"}:
            continue
        value: Any = names
        for depth, name in enumerate(use.chain):
            if value is None or not isinstance(value, Mapping):
                break
            if name not in value:
                whole, before = ".".join(use.chain[: depth + 1]), use.chain[:depth]
                yield f"{use.place}: there is no {whole}{_near(before, name, value)}"
                break
            value = value[name]


def _near(before: tuple[str, ...], name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, known, 3, 0.5)
    shown = close or sorted(known)[:12]
    said = ", ".join(".".join((*before, one)) for one in shown)
    return f", {'near are' if close else 'there are'} {said}" if shown else ""


class _Compiler:
    """Walks a tree once; `uses` is filled on the way."""

    def __init__(self, uses: list[NameUse]) -> None:
        self.uses = uses
        self.nodes = 0

    def tree(self, tree: Any, place: str, depth: int) -> Give:  # noqa: ANN401 - what JSON holds can be anything
        self.nodes += 1
        if depth > DEPTH_MAX or self.nodes > NODES_MAX:
            raise UnusableTemplateError(f"{place}: deeper than {DEPTH_MAX} or more than {NODES_MAX} values")
        match tree:
            case str():
                return self.text(tree, place)
            case None | bool() | int() | float():
                return lambda _: tree
            case list():
                items = [self.tree(item, f"{place}[{number}]", depth + 1) for number, item in enumerate(tree)]
                return lambda names: [value for item in items if (value := item(names)) is not OMIT]
            case dict() if set(tree) == {"each", "give"}:
                return self.each(tree, place, depth)
            case dict() if set(tree) == {"when", "give"}:
                when, give = (self.tree(tree[key], f"{place}.{key}", depth + 1) for key in ("when", "give"))
                return lambda names: give(names) if when(names) else OMIT
            case dict():
                pairs = [(str(key), self.tree(value, f"{place}.{key}", depth + 1)) for key, value in tree.items()]
                return lambda names: {key: value for key, of in pairs if (value := of(names)) is not OMIT}
            case _:
                raise UnusableTemplateError(f"{place}: {type(tree).__name__} is nothing that JSON has")

    def each(self, tree: dict[str, Any], place: str, depth: int) -> Give:
        listed = self.tree(tree["each"], f"{place}.each", depth + 1)
        give = self.tree(tree["give"], f"{place}.give", depth + 1)

        def all_of(names: Names) -> list[Any]:
            items = listed(names)
            if not isinstance(items, list | tuple) or len(items) > ITEMS_MAX:
                raise UnusableTemplateError(f"{place}.each: not a list of at most {ITEMS_MAX}")
            return [value for item in items if (value := give({**names, "item": item})) is not OMIT]

        return all_of

    def text(self, text: str, place: str) -> Give:
        if not any(mark in text for mark in ("{{", "{%", "{#")):
            return lambda _: text
        template = _parse(_TEXTS, text, place)
        self.uses.extend(_uses(template, place))
        outputs = [part for body in template.body for part in body.iter_child_nodes()]
        if len(outputs) != 1 or isinstance(outputs[0], nodes.TemplateData):
            ready = _TEXTS.from_string(text)
            return lambda names: _render(ready, names, place)
        chain = _chain(outputs[0])
        if chain == ("omit",):
            return lambda _: OMIT
        if chain is not None:
            return lambda names: _looked_up(chain, names, place)
        return _expression(text.strip()[2:-2].strip("+-"), place)


def _parse(environment: _Sandbox, text: str, place: str) -> nodes.Template:
    if len(text) > TEXT_CHARS_MAX:
        raise UnusableTemplateError(f"{place}: a template of more than {TEXT_CHARS_MAX} characters")
    try:
        template = environment.parse(text)
        for node in (part for body in template.body for part in _all_of(body)):
            if not isinstance(node, _EXPRESSIONS):
                what = "calls and statements are" if isinstance(node, nodes.Call | nodes.Stmt) else "this form is"
                raise UnusableTemplateError(f"{place}: {what} not part of templates; use names, operators and filters")
        environment.compile(text)
    except TemplateSyntaxError as error:
        raise UnusableTemplateError(f"{place}: {error.message}") from None
    except (RecursionError, MemoryError, SyntaxError):
        raise UnusableTemplateError(f"{place}: the template is nested too deeply") from None
    return template


def _all_of(body: nodes.Node) -> Iterator[nodes.Node]:
    """Yield every node of a part of a template, without the part itself where it is what texts are made of."""
    if not isinstance(body, nodes.Output):
        yield body
    for child in body.iter_child_nodes():
        yield from _all_of(child)


def _uses(node: nodes.Node, place: str, *, guarded: bool = False) -> Iterator[NameUse]:
    chain = _chain(node)
    if chain is not None:
        yield NameUse(place, chain, guarded)
        return
    if isinstance(node, nodes.Filter | nodes.Test):
        may_be_missing = node.name in {"default", "defined", "undefined"}
        first, *others = node.iter_child_nodes()
        yield from _uses(first, place, guarded=guarded or may_be_missing)
        for child in others:
            yield from _uses(child, place, guarded=guarded)
        return
    for child in node.iter_child_nodes():
        yield from _uses(child, place, guarded=guarded)


def _chain(node: nodes.Node) -> tuple[str, ...] | None:
    match node:
        case nodes.Name(name=name):
            return (name,)
        case nodes.Getattr(node=inner, attr=name) | nodes.Getitem(node=inner, arg=nodes.Const(value=str(name))):
            before = _chain(inner)
            return None if before is None else (*before, name)
        case _:
            return None


def _looked_up(chain: tuple[str, ...], names: Names, place: str) -> Any:  # noqa: ANN401 - a template's value
    value: Any = names
    for name in chain:
        if not isinstance(value, dict) or name not in value:
            raise UnusableTemplateError(f"{place}: there is no {'.'.join(chain)}")
        value = value[name]
    return value


def _expression(source: str, place: str) -> Give:
    ready = _TEXTS.compile_expression(source, undefined_to_none=False)

    def value(names: Names) -> Any:  # noqa: ANN401 - a template's value
        try:
            return _plain(ready(names), place)
        except _FAILURES as error:
            raise _problem(error, place) from None

    return value


def _plain(value: Any, place: str) -> Any:  # noqa: ANN401 - a template's value
    match value:
        case str():
            return _small(value)
        case None | bool() | int() | float() | Omit():
            return value
        case list() | tuple():
            return [_plain(item, place) for item in value]
        case dict():
            return {str(key): _plain(item, place) for key, item in value.items()}
        case StrictUndefined():
            raise UnusableTemplateError(f"{place}: {value._undefined_message}")  # noqa: SLF001 - the only place of its words
        case _:
            raise UnusableTemplateError(f"{place}: {type(value).__name__} is nothing that JSON has")


def _render(template: Template, names: Names, place: str) -> str:
    parts, length = [], 0
    try:
        for part in template.generate(names):
            length += len(part)
            if length > VALUE_CHARS_MAX:
                raise SecurityError(f"a value has more than {VALUE_CHARS_MAX} characters")
            parts.append(part)
    except _FAILURES as error:
        raise _problem(error, place) from None
    return "".join(parts)


def _problem(error: Exception, place: str) -> UnusableTemplateError:
    return error if isinstance(error, UnusableTemplateError) else UnusableTemplateError(f"{place}: {error}")
