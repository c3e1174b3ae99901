"""What a file can make its reader do: an error within a second and 200 MB, in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
from hdmf.build import DatasetBuilder, GroupBuilder
from pynwb import NWBFile, TimeSeries

from hdmf_zarr import NWBZarrIO, ZarrIO, check
from hdmf_zarr.core import limits
from hdmf_zarr.errors import MetadataError
from hdmf_zarr.hierarchy.hierarchy import Hierarchy
from tests.format2 import Format2Store

SECONDS = 3.0
"""That reading may take, the interpreter and imports aside."""

MEGABYTES = 200
"""That reading may add to what the imports have taken."""

READ = """
import json, resource, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
import pynwb
from hdmf_zarr import ZarrIO, check
from hdmf_zarr.errors import HDMFZarrError

def peak():
    # Of this process alone: ru_maxrss starts with what its parent had. Elsewhere it is better than nothing.
    try:
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

def everything(builder):
    for dataset in builder.datasets.values():
        np.asarray(dataset.data[0:2] if getattr(dataset.data, "shape", ()) else dataset.data)
    for group in builder.groups.values():
        everything(group)

def measured(use):
    start = time.process_time()
    said = None
    try:
        said = use()
    except (HDMFZarrError, ValueError) as error:
        said = type(error).__name__ + ": " + str(error)
    seconds = time.process_time() - start
    return {"said": said, "seconds": seconds, "megabytes": peak() - before}

def read():
    with ZarrIO(path, mode) as io:
        everything(io.read_builder())

def checked():
    return sorted({finding.code for finding in check(path).findings})

path, mode = sys.argv[1:]
before = peak()
print(json.dumps([measured(read), measured(checked)]))
"""


def apart(script: str, *arguments: str | Path) -> Any:
    """What a script prints as JSON, run in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def use(path: Path, mode: str = "r") -> tuple[Any, Any]:
    """Read and check a store in a process of its own; return what both said, within the limits."""
    for _attempt in range(5):  # a busy machine is not what is measured
        results = apart(READ, path, mode)
        assert all(result["megabytes"] < MEGABYTES for result in results), results
        if all(result["seconds"] < SECONDS for result in results):
            return results[0]["said"], results[1]["said"]
    raise AssertionError(results)


def write(path: Path, n: int = 10) -> Path:
    with ZarrIO(path, "w") as io:
        data = DatasetBuilder("data", np.arange(n))
        io.write_builder(GroupBuilder("root", datasets={"data": data}))
    return path


def edit(path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """Change the root's document; the consolidated metadata with it."""
    root = json.loads((path / "zarr.json").read_text())
    change(root)
    (path / "zarr.json").write_text(json.dumps(root))
    return path


def held(root: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = root["consolidated_metadata"]["metadata"]
    return found


def edit_data(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the document of the array, in both places."""
    edit(path, lambda root: change(held(root)["data"]))
    node = path / "data" / "zarr.json"
    document = json.loads(node.read_text())
    change(document)
    node.write_text(json.dumps(document))


def huge_document(path: Path) -> str:
    with (write(path) / "zarr.json").open("wb") as file:
        file.truncate(limits.MOST_DOCUMENT_BYTES + 1)  # takes no space on the disk
    return "bytes of metadata"


def huge_document_of_a_node(path: Path) -> str:
    edit(write(path), lambda root: root.pop("consolidated_metadata"))
    with (path / "data" / "zarr.json").open("wb") as file:
        file.truncate(limits.MOST_DOCUMENT_BYTES + 1)
    return "bytes of metadata"


def huge_format2(path: Path) -> str:
    made = Format2Store()
    made.array("data", np.arange(3))
    made.save(path)
    with (path / ".zmetadata").open("wb") as file:
        file.truncate(limits.MOST_DOCUMENT_BYTES + 1)
    return "bytes of metadata"


def deep_json(path: Path) -> str:
    (write(path) / "zarr.json").write_text('{"a":' * 200_000)
    return "valid JSON"


def deep_attribute(path: Path) -> str:
    value: Any = 1
    for _ in range(500):
        value = [value]
    edit(write(path), lambda root: root["attributes"].update(deep=value))
    return "nested more than"


def deep_attribute_of_format2(path: Path) -> str:
    value: Any = 1
    for _ in range(500):
        value = {"a": value}
    made = Format2Store()
    made.array("data", np.arange(3), attributes={"deep": value})
    made.save(path)
    return "nested more than"


def deep_groups(path: Path) -> str:
    group = {"zarr_format": 3, "node_type": "group", "attributes": {}}
    edit(
        write(path),
        lambda root: held(root).update({"/".join("g" * n): group for n in range(1, 1000)}),
    )
    return "groups deep"


def huge_chunk(path: Path) -> str:
    def change(data: dict[str, Any]) -> None:
        data.update(
            shape=[10**15],
            chunk_grid={"name": "regular", "configuration": {"chunk_shape": [10**15]}},
        )

    edit_data(write(path), change)
    return "one chunk of shape"


def huge_chunk_in_a_shard(path: Path) -> str:
    inner = {
        "chunk_shape": [10**15],
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "index_codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "index_location": "end",
    }

    def change(data: dict[str, Any]) -> None:
        data.update(
            shape=[10**15],
            chunk_grid={"name": "regular", "configuration": {"chunk_shape": [10**15]}},
            codecs=[{"name": "sharding_indexed", "configuration": inner}],
        )

    edit_data(write(path), change)
    return "one chunk of shape"


def huge_chunk_of_format2(path: Path) -> str:
    made = Format2Store()
    made.array("data", np.arange(3))
    made.documents["data/.zarray"].update(shape=[10**15], chunks=[10**15])
    made.save(path)
    return "one chunk of shape"


LARGE = 400_000
"""Elements of a chunk, beside which a bomb is not too long while it is encoded."""


def blosc_bomb(path: Path) -> str:
    (write(path, LARGE) / "data" / "c.0").write_bytes(
        numcodecs.Blosc("zstd").encode(bytes(2**31 - 2**20))
    )
    return "becomes 2146435072 bytes"


def blosc_claim(path: Path) -> str:
    """Not compressed at all: a header that claims 2 GB."""
    header = bytearray(numcodecs.Blosc("lz4").encode(bytes(100)))
    header[4:8] = (2**31 - 100).to_bytes(4, "little")
    (write(path) / "data" / "c.0").write_bytes(header)
    return "becomes 2147483548 bytes"


def bomb_of(name: str, codec: Any, configuration: dict[str, Any]) -> Callable[[Path], str]:
    def make(path: Path) -> str:
        def change(data: dict[str, Any]) -> None:
            data["codecs"][1:] = [{"name": name, "configuration": configuration}]

        edit_data(write(path, LARGE), change)
        (path / "data" / "c.0").write_bytes(codec.encode(bytes(10**9)))
        # The size at the end of a gzip stream can be too small: it is not believed, but decoded so far.
        return (
            "becomes more than the 3200000 bytes" if name == "gzip" else "becomes 1000000000 bytes"
        )

    make.__name__ = f"{name}_bomb"
    return make


CASES = [
    *(huge_document, huge_document_of_a_node, huge_format2, deep_json, deep_attribute),
    *(deep_attribute_of_format2, deep_groups, huge_chunk, huge_chunk_in_a_shard),
    *(huge_chunk_of_format2, blosc_bomb, blosc_claim),
    bomb_of("gzip", numcodecs.GZip(9), {"level": 9}),
    bomb_of("zstd", numcodecs.Zstd(1), {"level": 1, "checksum": False}),
]


@pytest.mark.slow
@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_a_file_that_asks_for_too_much_is_refused(make: Any, tmp_path: Path) -> None:
    expected = make(tmp_path / "file.zarr")
    said, codes = use(tmp_path / "file.zarr", "r-" if "of_a_node" in make.__name__ else "r")
    assert said is not None
    assert expected in said
    assert len(said) < 1000
    assert {"beyond-limits", "broken-array", "broken-chunk", "broken-document"} & set(codes), codes


def read_all(path: Path) -> None:
    with ZarrIO(path, "r") as io, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        io.read_builder()


def loop(n: int) -> list[dict[str, str]]:
    return [{"name": f"l{i}", "source": ".", "path": f"/l{(i + 1) % n}"} for i in range(n)]


@pytest.mark.parametrize("n", [1, 10_000])
@pytest.mark.parametrize("kind", ["loop", "chain"])
def test_links_upon_links_end(tmp_path: Path, n: int, kind: str) -> None:
    links = loop(n)
    if kind == "chain":
        links[-1]["path"] = "/data"
    edit(write(tmp_path / "file.zarr"), lambda root: root["attributes"].update(_LINKS=links))
    said, codes = use(tmp_path / "file.zarr")
    assert said is None
    assert codes == ([] if kind == "chain" and n <= 32 else ["broken-link"])


@pytest.mark.parametrize("face", [check, read_all], ids=["check", "read"])
def test_each_of_many_links_is_found_once(
    tmp_path: Path, face: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not 32 times each, which is how many links in a row are followed."""
    edit(write(tmp_path / "file.zarr"), lambda root: root["attributes"].update(_LINKS=loop(1000)))
    asked: list[str] = []
    find_link = Hierarchy.find_link

    def counted(hierarchy: Hierarchy, path: str) -> Any:
        asked.append(path)
        return find_link(hierarchy, path)

    monkeypatch.setattr(Hierarchy, "find_link", counted)
    face(tmp_path / "file.zarr")
    assert sorted(asked) == sorted(link["name"] for link in loop(1000))


def test_the_memory_is_measured(tmp_path: Path) -> None:
    """A file below every limit that takes 400 MB: what the other tests count on."""
    with ZarrIO(tmp_path / "file.zarr", "w") as io:
        data = DatasetBuilder("data", np.zeros(50_000_000))
        io.write_builder(GroupBuilder("root", datasets={"data": data}))
    path = tmp_path / "file.zarr"
    edit_data(
        path, lambda data: data["chunk_grid"]["configuration"].update(chunk_shape=[50_000_000])
    )
    (path / "data" / "c.0").write_bytes(numcodecs.Blosc().encode(bytes(400_000_000)))
    with pytest.raises(AssertionError, match="megabytes"):
        use(path)


def test_what_is_below_the_limits_is_read(tmp_path: Path) -> None:
    value: Any = 1
    for _ in range(limits.DEEPEST_JSON - 2):
        value = [value]
    group = {"zarr_format": 3, "node_type": "group", "attributes": {}}
    deepest = limits.DEEPEST_PATH - 1

    def change(root: dict[str, Any]) -> None:
        root["attributes"].update(deep=value, long="x" * 10**6)
        held(root).update({"/".join("g" * n): group for n in range(1, deepest + 1)})

    path = edit(write(tmp_path / "file.zarr"), change)
    with ZarrIO(path, "r") as io:
        builder = io.read_builder()
        assert len(builder.attributes["long"]) == 10**6
        assert builder["data"].data[:].tolist() == list(range(10))


@pytest.mark.parametrize("depth", [limits.DEEPEST_JSON, limits.DEEPEST_JSON + 1])
def test_the_depth_is_that_of_the_deepest_value(depth: int) -> None:
    value: Any = {"number": 1}
    for n in range(depth - 1):
        value = [1, value, "x"] if n % 2 else {"a": 1, "b": value}
    if depth <= limits.DEEPEST_JSON:
        limits.check_json_depth(value, "here")
    else:
        with pytest.raises(MetadataError, match="here has values nested"):
            limits.check_json_depth(value, "here")


def test_an_array_of_10_to_the_15_chunks_is_checked(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data.update(
            shape=[10**15], chunk_grid={"name": "regular", "configuration": {"chunk_shape": [10]}}
        )

    path = write(tmp_path / "file.zarr")
    edit_data(path, change)
    assert use(path)[1] == ["missing-chunk"]
    assert len(check(path).findings) < 200


# -- through every face ----------------------------------------------------------------------------

FACES = """
import contextlib, io, json, sys, time, warnings
warnings.simplefilter("ignore")
import numpy as np
import pynwb
import hdmf_zarr.conversion
from hdmf_zarr import NWBZarrIO
from hdmf_zarr.cli import main

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024

def nwb():
    with NWBZarrIO(path, "r") as io:
        io.read().acquisition["series"].data[:2]
    return "read"

def command(*arguments):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        status = main(list(arguments))
    return f"{status}: {said.getvalue()[-1500:]}"

path = sys.argv[1]
faces = {
    "nwb": nwb,
    "info": lambda: command("info", path),
    "check": lambda: command("check", "--quiet", path),
    "to HDF5": lambda: command("convert", "--quiet", path, path + ".nwb"),
    "to Zarr": lambda: command("convert", "--quiet", path, path + ".copy.zarr"),
}
results = {}
for name, face in faces.items():
    before, start = peak(), time.process_time()
    try:
        said = face()
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    results[name] = [time.process_time() - start, peak() - before, said[-1600:]]
print(json.dumps(results))
"""


def faces_of(path: Path) -> dict[str, str]:
    """What every way into a store says of it, within the limits."""
    for _attempt in range(5):
        results = apart(FACES, path)
        assert all(megabytes < MEGABYTES for _, megabytes, _ in results.values()), results
        if all(seconds < SECONDS for seconds, _, _ in results.values()):
            return {name: said for name, (_, _, said) in results.items()}
        for left in path.parent.glob(path.name + ".*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
    raise AssertionError(results)


def write_nwb(path: Path, zarr_format: int) -> Path:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    nwbfile = NWBFile(session_description="s", identifier="i", session_start_time=start)
    series = TimeSeries(name="series", data=np.arange(10), unit="V", rate=1.0)
    nwbfile.add_acquisition(series)
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(nwbfile)
    return path


def edit_node(path: Path, node: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Change the metadata of a node as one object, in both places and either format."""
    if (path / "zarr.json").exists():
        for document, of in ((path / "zarr.json", held), (path / node / "zarr.json", None)):
            root = json.loads(document.read_text())
            change(root if of is None else of(root)[node])
            document.write_text(json.dumps(root))
        return
    consolidated = json.loads((path / ".zmetadata").read_text())
    for name in (".zarray", ".zattrs"):
        key = f"{node}/{name}"
        if key in consolidated["metadata"]:
            entry = consolidated["metadata"][key]
            found = {"attributes": entry} if name == ".zattrs" else entry
            change(found)
            (path / key).write_text(json.dumps(entry))
    (path / ".zmetadata").write_text(json.dumps(consolidated))


SERIES = "acquisition/series"


def one_huge_chunk(document: dict[str, Any]) -> None:
    if "chunks" in document:
        document.update(shape=[10**15], chunks=[10**15])
    elif "chunk_grid" in document:
        grid = {"name": "regular", "configuration": {"chunk_shape": [10**15]}}
        document.update(shape=[10**15], chunk_grid=grid)


def deep_value(document: dict[str, Any]) -> None:
    value: Any = 1
    for _ in range(500):
        value = [value]
    document.setdefault("attributes", {})["deep"] = value


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_one_huge_chunk_is_refused_by_every_face(tmp_path: Path, zarr_format: int) -> None:
    path = write_nwb(tmp_path / "file.nwb.zarr", zarr_format)
    edit_node(path, f"{SERIES}/data", one_huge_chunk)
    said = faces_of(path)
    assert "would take 8e+15 bytes" in said["nwb"]
    assert said["info"].startswith("0: ")
    assert "1 error" in said["check"]
    assert said["check"].startswith("1: ")
    for name in ("to HDF5", "to Zarr"):
        assert said[name].startswith("1: hdmf-zarr: error: ")
        assert "would take 8e+15 bytes" in said[name]
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_deep_value_is_refused_by_every_face(tmp_path: Path, zarr_format: int) -> None:
    path = write_nwb(tmp_path / "file.nwb.zarr", zarr_format)
    edit_node(path, SERIES, deep_value)
    said = faces_of(path)
    assert all("values nested more than 64 deep" in text for text in said.values()), said
    assert said["check"].startswith("1: ")
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


@pytest.mark.slow
@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("kind", ["loop", "chain"])
def test_ten_thousand_links_are_left_out_by_every_face(
    tmp_path: Path, zarr_format: int, kind: str
) -> None:
    path = write_nwb(tmp_path / "file.nwb.zarr", zarr_format)
    links = [{**link, "path": "/analysis" + link["path"]} for link in loop(10_000)]
    links[-1]["path"] = "/analysis/l0" if kind == "loop" else "/" + SERIES
    word = {2: "zarr_link", 3: "_LINKS"}[zarr_format]
    edit_node(
        path, "analysis", lambda node: node.setdefault("attributes", {}).update({word: links})
    )
    said = faces_of(path)
    assert said["check"].startswith("1: ")
    assert ("10000 errors" if kind == "loop" else "9968 errors") in said["check"]
    assert said["info"].startswith("0: ")
    assert "10000 links" in said["info"]
    for name in ("to HDF5", "to Zarr"):
        assert said[name].startswith("0: "), said
