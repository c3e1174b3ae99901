"""The picture of the house in ``docs/architecture.md``, kept true by reading the imports."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

import hdmf_zarr
from hdmf_zarr.convention import unified

SOURCE = Path(hdmf_zarr.__file__).parent
PACKAGE = "hdmf_zarr"

COLUMN = (
    ("errors",),
    ("core",),
    ("convention",),
    ("codecs",),
    ("stores",),
    ("metadata",),
    ("transactions",),
    ("chunks",),
    ("hierarchy",),
    ("arrays",),
    ("hdf5",),
    ("read",),
    ("write/chunks",),
    ("write/planning",),
    ("write", "write/parallel"),
    ("transfer",),
    ("session",),
    ("backend",),
    ("nwb", "utils", "zarr_utils"),
    ("checking", "conversion", "description", "v2"),
    ("cli",),
    ("__init__", "__main__"),
)
"""The rooms, the lowest first: a room imports only from itself and from rooms below it."""

LEVELS = {room: level for level, rooms in enumerate(COLUMN) for room in rooms}

APART = ("read", "write")
"""Rooms that do not know each other, whatever their levels are."""

MOST_LINES = 500
"""Lines of code of one file: docstrings, comments and blank lines are not counted."""

LONG: dict[str, str] = {}
"""Files with more lines, each with the reason; this list only becomes shorter."""

FILES = sorted(SOURCE.rglob("*.py"))


def name_of(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


NAMES = frozenset(map(name_of, FILES))


def room_of(name: str) -> str:
    """The room of a file: its folder, or the file itself at the top."""
    parts = name.removesuffix(".py").split("/")
    folders = ["/".join(parts[:end]) for end in range(len(parts), 0, -1)]
    return next(room for room in folders if room in LEVELS)


def imported_modules(source: str) -> set[str]:
    """Absolute names of the modules that a file imports, for types and in functions, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            assert node.module is not None
            # "from hdmf_zarr import x" and "from hdmf.build import x" may name modules.
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def file_of(module: str) -> str | None:
    """The file of a module of the package; None of anything else."""
    if not module.startswith(PACKAGE + "."):
        return None
    path = module.removeprefix(PACKAGE + ".").replace(".", "/")
    return next((name for name in (f"{path}.py", f"{path}/__init__.py") if name in NAMES), None)


def imported_files(source: str) -> set[str]:
    """The files of the package that a file imports; a package's face only where it names something in it."""
    found = {file_of(module) for module in imported_modules(source)} - {None}
    faces = {name for name in found if name is not None and name.endswith("/__init__.py")}
    used = {
        name
        for name in faces
        if any(file_of(module) is None for module in modules_of(source, name))
    }
    return {name for name in found if name is not None and (name not in faces or name in used)}


def modules_of(source: str, face: str) -> list[str]:
    """What a file imports from a package's face: names in it, or its modules."""
    package = f"{PACKAGE}.{face.removesuffix('/__init__.py').replace('/', '.')}"
    return [
        f"{package}.{alias.name}"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.module == package
        for alias in node.names
    ]


def violations(name: str, source: str) -> list[str]:
    """The files that a file imports and must not."""
    own = room_of(name)
    return sorted(
        other
        for other in imported_files(source)
        if (
            LEVELS[room_of(other)] > LEVELS[own]
            or {own.split("/")[0], room_of(other).split("/")[0]} == set(APART)
        )
    )


def external(source: str) -> set[str]:
    return {
        module for module in imported_modules(source) if not f"{module}.".startswith(PACKAGE + ".")
    }


def circles(imports: dict[str, set[str]]) -> list[set[str]]:
    """Sets of files that import each other in a loop."""
    reached: dict[str, set[str]] = {}
    for start in imports:
        seen: set[str] = set()
        waiting = list(imports[start])
        while waiting:
            name = waiting.pop()
            if name not in seen:
                seen.add(name)
                waiting += imports.get(name, ())
        reached[start] = seen
    found = [
        {other for other in seen if name in reached.get(other, ())}
        for name, seen in reached.items()
        if name in seen
    ]
    return [one for index, one in enumerate(found) if one not in found[:index]]


def code_lines(source: str) -> int:
    """Lines of code: without docstrings, comments and blank lines."""
    documentation = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        for line in range(node.lineno, (node.end_lineno or 0) + 1)
    }
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    code = {
        line
        for token in tokens
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(code - documentation)


_NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE),
    *(tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER),
}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_imports_point_down(path: Path) -> None:
    assert violations(name_of(path), path.read_text("utf-8")) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("read/tree.py", "from hdmf_zarr.write.planning.layout import Layout"),
        ("write/job.py", "from hdmf_zarr.read import tree"),
        ("stores/bytestore.py", "import hdmf_zarr.read.tree"),
        ("errors.py", "from hdmf_zarr.core.dtypes import TEXT"),
        ("convention/legacy.py", "def late():\n    from hdmf_zarr.stores.location import Location"),
        ("hdf5/source.py", "from hdmf_zarr.backend import ZarrIO"),
        ("write/chunks/arrays.py", "from hdmf_zarr.write.planning import plan"),
        ("read/tree.py", "if TYPE_CHECKING:\n    from hdmf_zarr.nwb import NWBZarrIO"),
    ],
)
def test_an_import_that_points_up_is_seen(name: str, line: str) -> None:
    assert violations(name, line)


def test_no_file_is_in_a_circle_of_imports() -> None:
    imports = {name_of(path): imported_files(path.read_text("utf-8")) for path in FILES}
    assert circles(imports) == []


def test_a_circle_is_seen() -> None:
    imports = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}
    assert circles(imports) == [{"a", "b", "c"}]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_files_are_short(path: Path) -> None:
    is_long = code_lines(path.read_text("utf-8")) > MOST_LINES
    assert is_long == (name_of(path) in LONG)


def test_documentation_is_no_code() -> None:
    assert code_lines('"""Says it.\n\nTwice."""\n\n# why\nx = (\n    1,\n)\n') == 3


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_only_the_room_of_hdf5_imports_h5py(path: Path) -> None:
    roots = {module.split(".")[0] for module in external(path.read_text("utf-8"))}
    assert room_of(name_of(path)) == "hdf5" or "h5py" not in roots


@pytest.mark.parametrize(
    "path", [f for f in FILES if room_of(name_of(f)) == "convention"], ids=name_of
)
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


@pytest.mark.parametrize(
    "path", [f for f in FILES if room_of(name_of(f)) != "convention"], ids=name_of
)
def test_words_on_disk_are_spelled_in_the_conventions_only(path: Path) -> None:
    legacy = {"zarr_dtype", "zarr_link"}
    spelled = code_strings(path.read_text("utf-8")) & (words_on_disk() | legacy)
    assert spelled == set()


def test_a_word_on_disk_is_seen_in_code_and_not_in_documentation() -> None:
    source = '"""Says _LINKS."""\nname = attributes["_DTYPE"]\n"""_LINKS"""\n'
    assert code_strings(source) == {"_DTYPE"}


JSON_KEYS = {"chunk_grid", "chunk_key_encoding", "node_type", "must_understand"}
"""Keys of Zarr's documents that mean nothing else; settings of codecs are named by `codecs`."""


@pytest.mark.parametrize(
    "path", [f for f in FILES if room_of(name_of(f)) != "metadata"], ids=name_of
)
def test_the_keys_of_documents_are_spelled_where_nodes_are_made(path: Path) -> None:
    spelled = code_strings(path.read_text("utf-8")) & (JSON_KEYS | {"consolidated_metadata"})
    assert spelled == set()
