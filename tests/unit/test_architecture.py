"""The picture of the house in ``docs/architecture.md``, kept true by reading the imports."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hdmf_zarr
from hdmf_zarr.convention import unified

SOURCE = Path(hdmf_zarr.__file__).parent
PACKAGE = "hdmf_zarr"

LEVELS = {
    "errors": 0,
    "convention": 1,
    "limits": 1,
    "dtypes": 1,
    "elements": 1,
    "nesting": 1,
    "enumerations": 1,
    "hdf5": 2,
    "stores": 2,
    "codecs": 2,
    "references": 2,
    "read": 3,
    "write": 3,
    "transfer": 3,
    "backend": 4,
    "nwb": 4,
    "convert": 4,
    "info": 4,
    "checking": 4,
    "cli": 5,
    "v2": 5,
    "zarr_utils": 4,
    "utils": 4,
    "__init__": 6,
    "__main__": 6,
}
"""Rooms, the lowest first; imports point down, or stay on the level."""

APART = [{"read", "write"}]
"""Rooms of one level that do not know each other."""

FILES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def room_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def nodes_of(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node except what only a type checker sees."""
    for child in ast.iter_child_nodes(tree):
        if is_type_checking(child):
            assert isinstance(child, ast.If)
            for alternative in child.orelse:
                yield alternative
                yield from nodes_of(alternative)
            continue
        yield child
        yield from nodes_of(child)


def imported_modules(source: str, package: str) -> set[str]:
    """Absolute names of the modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in nodes_of(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            found.add(node.module)
            # "from hdmf_zarr import x" and "from hdmf.build import x" may name modules.
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {module for module in found if module != package}


def imported_rooms(source: str) -> set[str]:
    return {
        module.split(".")[1]
        for module in imported_modules(source, PACKAGE)
        if module.startswith(PACKAGE + ".") and module.split(".")[1] in LEVELS
    }


def violations(room: str, source: str) -> list[str]:
    """The rooms that a file of a room imports and must not."""
    return sorted(
        other
        for other in imported_rooms(source)
        if LEVELS[other] > LEVELS[room] or (other != room and {room, other} in APART)
    )


def external(source: str) -> set[str]:
    return {
        module
        for module in imported_modules(source, PACKAGE)
        if not module.startswith(PACKAGE + ".")
    }


def test_every_room_has_its_level() -> None:
    assert {room_of(path) for path in FILES} <= set(LEVELS)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    assert violations(room_of(path), path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("read", "from hdmf_zarr.write.layout import Layout"),
        ("write", "from hdmf_zarr import read"),
        ("stores", "import hdmf_zarr.read.tree"),
        ("errors", "from hdmf_zarr.dtypes import TEXT"),
        ("convention", "def late():\n    from hdmf_zarr.stores import Location"),
        ("hdf5", "from hdmf_zarr.backend import ZarrIO"),
        ("write", "if TYPE_CHECKING:\n    pass\nelse:\n    from hdmf_zarr.read import tree"),
    ],
)
def test_an_import_that_points_up_is_seen(room: str, line: str) -> None:
    assert violations(room, line)


def test_what_only_a_type_checker_sees_does_not_count() -> None:
    assert not violations("read", "if TYPE_CHECKING:\n    from hdmf_zarr.backend import ZarrIO\n")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_the_room_of_hdf5_imports_h5py(path: Path) -> None:
    roots = {module.split(".")[0] for module in external(path.read_text("utf-8"))}
    assert room_of(path) == "hdf5" or "h5py" not in roots


@pytest.mark.parametrize("path", [f for f in FILES if room_of(f) == "convention"], ids=name_of)
def test_the_conventions_are_pure(path: Path) -> None:
    modules = external(path.read_text("utf-8"))
    impure = ("zarr", "h5py", "hdmf.build", "hdmf.container", "fsspec")
    assert not [m for m in modules if any(m == i or m.startswith(i + ".") for i in impure)]


def words_on_disk() -> set[str]:
    """Every constant of a convention that is a reserved name."""
    constants = {value for name, value in vars(unified).items() if name.isupper()}
    words = {word for word in constants if isinstance(word, str) and word.startswith(("_", "."))}
    return (words | set(unified.RESERVED_ATTRIBUTES)) - {unified.SELF}


def code_strings(source: str) -> set[str]:
    """The strings of a file's code; those that stand alone are its documentation."""
    tree = ast.parse(source)
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documentation
    }


def test_the_words_on_disk_are_known_to_this_test() -> None:
    expected = {
        *("_DTYPE", "_LINKS", "_REFERENCE", "_REFERENCE_FIELDS", "_SCALAR", "_COMPOUND_DTYPE"),
        *("_ARRAY_DIMENSIONS", "_ATTRIBUTE_DTYPES", ".specloc"),
    }
    assert expected <= words_on_disk()


@pytest.mark.parametrize("path", [f for f in FILES if room_of(f) != "convention"], ids=name_of)
def test_words_on_disk_are_spelled_in_the_conventions_only(path: Path) -> None:
    legacy = {"zarr_dtype", "zarr_link"}
    spelled = code_strings(path.read_text("utf-8")) & (words_on_disk() | legacy)
    assert spelled == set()


def test_a_word_on_disk_is_seen_in_code_and_not_in_documentation() -> None:
    source = '"""Says _LINKS."""\nname = attributes["_DTYPE"]\n"""_LINKS"""\n'
    assert code_strings(source) == {"_DTYPE"}
