"""Source and destination that are one store, in every spelling: refused before anything is touched."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile, TimeSeries
from zarr.storage import (
    FsspecStore,
    LocalStore,
    LoggingStore,
    MemoryStore,
    ObjectStore,
    WrapperStore,
    ZipStore,
)
from zarr.testing.store import LatencyStore

from hdmf_zarr import NWBZarrIO
from hdmf_zarr.cli import main
from hdmf_zarr.conversion import convert
from hdmf_zarr.errors import OptionError, StoreExistsError
from hdmf_zarr.stores.identity import Relation, relation_of
from hdmf_zarr.stores.location import locate
from hdmf_zarr.transfer.upgrading import upgrade

pytest.importorskip("s3fs")
obstore_stores: Any = pytest.importorskip("obstore.store")

VALUES = list(range(1, 11))


def nwbfile() -> NWBFile:
    made = NWBFile("small", "small", datetime(2024, 1, 1, tzinfo=UTC))
    made.add_acquisition(TimeSeries(name="series", data=np.arange(1, 11), unit="V", rate=1.0))
    return made


def written(target: Any, zarr_format: int = 3) -> Any:
    with NWBZarrIO(target, "w", zarr_format=zarr_format) as io:
        io.write(nwbfile())
    return target


def values_of(target: Any) -> list[int]:
    with NWBZarrIO(target, "r") as io:
        found: list[int] = io.read().acquisition["series"].data[:].tolist()
        return found


def export(source: Any, destination: Any, mode: str = "w", **options: Any) -> None:
    with NWBZarrIO(source, "r") as src_io, NWBZarrIO(destination, mode, **options) as io:
        io.export(src_io=src_io)


def tree_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below a folder, with its time."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class Renaming(WrapperStore):  # type: ignore[type-arg]
    """A view of a store in which every key has a prefix: nothing says so."""

    prefix = ""

    def _with_store(self, store: Any) -> Renaming:
        return renamed(store, self.prefix)

    async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
        return await self._store.get(self.prefix + key, prototype, byte_range)

    async def exists(self, key: str) -> bool:
        return bool(await self._store.exists(self.prefix + key))

    async def set(self, key: str, value: Any) -> None:
        await self._store.set(self.prefix + key, value)

    async def delete(self, key: str) -> None:
        await self._store.delete(self.prefix + key)

    async def clear(self) -> None:
        for key in [key async for key in self.list_prefix("")]:
            await self.delete(key)

    async def delete_dir(self, prefix: str) -> None:
        await self._store.delete_dir(self.prefix + prefix)

    async def list_prefix(self, prefix: str) -> Any:
        async for key in self._store.list_prefix(self.prefix + prefix):
            yield key.removeprefix(self.prefix)


def renamed(store: Any, prefix: str) -> Renaming:
    made = Renaming(store)
    made.prefix = prefix
    return made


# -- one folder ------------------------------------------------------------------------------------

FOLDERS: dict[str, Callable[[str], Any]] = {
    "local://": lambda path: "local://" + path,
    "simplecache::file://": lambda path: "simplecache::file://" + path,
    "blockcache::local://": lambda path: "blockcache::local://" + path,
    "filecache::file://": lambda path: "filecache::file://" + path,
    "fsspec": lambda path: FsspecStore.from_url("local://" + path),
    "fsspec of a cache": lambda path: FsspecStore.from_url("simplecache::file://" + path),
    "obstore": lambda path: ObjectStore(obstore_stores.LocalStore(prefix=path)),
    "obstore of the root": lambda path: renamed(
        ObjectStore(obstore_stores.LocalStore()), path.lstrip("/") + "/"
    ),
    "wrapper": lambda path: WrapperStore(LocalStore(path)),
    "logging": lambda path: LoggingStore(LocalStore(path), log_level="ERROR"),
    "latency": lambda path: LatencyStore(LocalStore(path)),
    "view": lambda path: renamed(LocalStore(os.path.dirname(path)), os.path.basename(path) + "/"),
    "link": lambda path: "local://" + linked(path),
}
"""Ways to spell a folder that are no path."""


def linked(path: str) -> str:
    link = Path(path).with_name("link.zarr")
    if not link.exists():
        link.symlink_to(path)
    return str(link)


@pytest.mark.parametrize("spelled", FOLDERS)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_folder_is_not_exported_onto_itself_in_another_spelling(
    tmp_path: Path, spelled: str, zarr_format: int
) -> None:
    path = written(tmp_path / "file.zarr", zarr_format)
    before = tree_of(path)
    destination = FOLDERS[spelled](str(path))
    with pytest.raises(OptionError, match=r"both source and destination.*another place"):
        export(path, destination)
    assert tree_of(path) == before
    with pytest.raises(OptionError, match="both source and destination"):
        export(FOLDERS[spelled](str(path)), path)
    assert tree_of(path) == before
    assert values_of(path) == VALUES


@pytest.mark.parametrize("spelled", ["local://", "simplecache::file://", "link"])
def test_convert_refuses_a_folder_in_another_spelling(
    tmp_path: Path, spelled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path / "file.zarr")
    before = tree_of(path)
    destination = FOLDERS[spelled](str(path))
    for first, second in ((str(path), destination), (destination, str(path))):
        with pytest.raises(OptionError, match="both source and destination"):
            convert(first, second, overwrite=True)
        assert main(["convert", first, second, "--overwrite", "--quiet"]) == 1
        assert first in capsys.readouterr().err
    assert tree_of(path) == before


@pytest.mark.parametrize("spelled", ["local://", "simplecache::file://"])
def test_upgrade_refuses_a_folder_in_another_spelling(tmp_path: Path, spelled: str) -> None:
    path = written(tmp_path / "file.zarr", 2)
    before = tree_of(path)
    destination = FOLDERS[spelled](str(path))
    with pytest.raises(OptionError, match="both source and destination"):
        upgrade(path, destination, overwrite=True)
    assert main(["upgrade", str(path), destination, "--overwrite"]) == 1
    assert tree_of(path) == before


@pytest.mark.parametrize(
    "spelled",
    [
        lambda path: f"file://{path}",
        lambda path: f"file://localhost{path}",
        lambda path: f"FILE://{path}",
        lambda path: f"file:{path}",
        lambda path: f"{path.parent}/./x/../{path.name}/",
        lambda path: Path(linked(str(path))),
        LocalStore,
    ],
)
def test_every_path_of_a_folder_is_one_path(tmp_path: Path, spelled: Callable[[Path], Any]) -> None:
    path = written(tmp_path / "file.zarr")
    destination = spelled(path)
    assert locate(destination) == locate(path)
    export(path, destination)
    assert values_of(path) == VALUES
    if isinstance(destination, str):
        with pytest.raises(OptionError, match="both source and destination") as raised:
            convert(path, destination, overwrite=True)
        assert {str(path), destination} <= set(str(raised.value).replace(",", "").split())
        assert values_of(path) == VALUES


def test_a_copy_that_keeps_every_time_is_another_store(tmp_path: Path) -> None:
    path = written(tmp_path / "file.zarr")
    copy = tmp_path / "copy.zarr"
    shutil.copytree(path, copy, copy_function=shutil.copy2)
    shutil.copystat(path, copy)
    assert tree_of(path) == tree_of(copy)
    for spelled in (Path, FOLDERS["obstore"], FOLDERS["wrapper"], FOLDERS["view"]):
        export(path, spelled(str(copy)))
        assert values_of(path) == values_of(copy) == VALUES
    export(path, f"local://{copy}", storage_options={"auto_mkdir": True})
    assert values_of(path) == values_of(copy) == VALUES
    convert(path, copy, overwrite=True)
    assert values_of(path) == values_of(copy) == VALUES


def test_names_that_differ_in_case_are_one_store_where_the_disk_says_so(tmp_path: Path) -> None:
    path = written(tmp_path / "file.zarr")
    other = tmp_path / "FILE.zarr"
    expected = Relation.SAME if other.exists() else Relation.APART
    assert relation_of(locate(path), locate(other)) is expected


# -- one mapping -----------------------------------------------------------------------------------


def logging_store(store: Any) -> Any:
    return LoggingStore(store, log_level="ERROR")


MEMORIES: dict[str, Callable[[MemoryStore], Any]] = {
    "itself": lambda store: store,
    "same mapping": lambda store: MemoryStore(store._store_dict),
    "wrapper": WrapperStore,
    "logging": logging_store,
    "latency": LatencyStore,
    "two wrappers": lambda store: logging_store(WrapperStore(store)),
    "unknown wrapper": lambda store: renamed(store, ""),
}


@pytest.mark.parametrize("spelled", MEMORIES)
@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_in_memory_is_not_exported_onto_itself(spelled: str, zarr_format: int) -> None:
    store = written(MemoryStore(), zarr_format)
    other = MEMORIES[spelled](store)
    before = dict(store._store_dict)
    for first, second in ((store, other), (other, store)):
        with pytest.raises(OptionError, match="both source and destination"):
            export(first, second)
    assert store._store_dict == before
    with NWBZarrIO(store.with_read_only(True), "r") as src_io, NWBZarrIO(other, "w") as io:
        with pytest.raises(OptionError, match="both source and destination"):
            io.export(src_io)
    assert values_of(store) == VALUES


@pytest.mark.parametrize("make", [MemoryStore, lambda: WrapperStore(MemoryStore())])
def test_two_stores_in_memory_of_equal_content_are_two(make: Callable[[], Any]) -> None:
    first, second = written(make()), make()
    for _ in range(3):
        export(first, second)
    assert values_of(first) == values_of(second) == VALUES


def test_two_views_of_one_mapping_are_told_apart() -> None:
    store = MemoryStore()
    first, second = written(renamed(store, "a/")), renamed(store, "b/")
    for _ in range(3):
        export(first, second)
    assert values_of(first) == values_of(second) == VALUES
    before = dict(store._store_dict)
    with pytest.raises(OptionError, match="both source and destination"):
        export(first, renamed(store, "a/"))
    with pytest.raises(OptionError, match="is inside of"):
        export(first, store, force_overwrite=True)
    with pytest.raises(StoreExistsError):
        export(first, store)
    assert store._store_dict == before


@pytest.fixture
def memory_url() -> Iterator[str]:
    import fsspec

    url = "memory://identity/file.zarr"
    written(url)
    yield url
    fsspec.filesystem("memory").rm("/identity", recursive=True)


@pytest.mark.parametrize(
    "spelled",
    [
        lambda url: url.replace("://", ":///"),
        lambda url: url + "/",
        lambda url: "simplecache::" + url,
        FsspecStore.from_url,
        lambda url: FsspecStore.from_url("simplecache::" + url),
    ],
)
def test_a_url_of_memory_is_not_exported_onto_itself(
    memory_url: str, spelled: Callable[[str], Any]
) -> None:
    other = spelled(memory_url)
    with pytest.raises(OptionError, match="both source and destination"):
        export(memory_url, other)
    assert relation_of(locate(other), locate(memory_url)) is Relation.SAME
    assert values_of(memory_url) == VALUES


def test_obstore_in_memory(memory_url: str) -> None:
    inner = obstore_stores.MemoryStore()
    store = written(ObjectStore(inner))
    with pytest.raises(OptionError, match="both source and destination"):
        export(store, ObjectStore(inner))
    assert values_of(store) == VALUES
    export(store, ObjectStore(obstore_stores.MemoryStore()))
    export(memory_url, store)
    assert values_of(store) == VALUES


def test_data_of_a_store_that_would_be_emptied_are_not_written(memory_url: str) -> None:
    other = memory_url.replace("://", ":///").replace("identity", "identity/.")
    with NWBZarrIO("simplecache::" + memory_url, "r") as source:
        data = source.read().acquisition["series"].data
        new = NWBFile("new", "new", datetime(2024, 1, 1, tzinfo=UTC))
        new.add_acquisition(TimeSeries(name="other", data=data, unit="V", rate=2.0))
        with NWBZarrIO(memory_url, "w") as io:
            with pytest.raises(OptionError, match="another place"):
                io.write(new)
    assert other != memory_url
    assert values_of(memory_url) == VALUES


# -- one inside of the other -----------------------------------------------------------------------


@pytest.mark.parametrize("spelled", [str, FOLDERS["local://"], FOLDERS["obstore"]])
def test_a_folder_that_holds_its_source_is_not_replaced(
    tmp_path: Path, spelled: Callable[[str], Any]
) -> None:
    folder = tmp_path / "day.zarr"
    written(folder / "a.zarr")
    written(folder / "b.zarr")
    with NWBHDF5IO(str(folder / "c.nwb"), "w") as io:
        io.write(nwbfile())
    before = tree_of(folder)
    with pytest.raises(OptionError, match="is inside of"):
        export(folder / "a.zarr", spelled(str(folder)), force_overwrite=True)
    with NWBHDF5IO(str(folder / "c.nwb"), "r") as src_io:
        with NWBZarrIO(spelled(str(folder)), "w", force_overwrite=True) as io:
            with pytest.raises(OptionError, match="is inside of"):
                io.export(src_io)
    assert tree_of(folder) == before


def test_convert_refuses_what_lies_in_the_other(tmp_path: Path) -> None:
    folder = tmp_path / "day.zarr"
    source = written(folder / "a.zarr")
    with NWBHDF5IO(str(folder / "c.nwb"), "w") as io:
        io.write(nwbfile())
    before = tree_of(folder)
    pairs = [
        (source, f"local://{folder}"),
        (source, folder),
        (folder / "c.nwb", folder),
        (folder / "c.nwb", f"local://{folder}"),
        (source, source / "inside.nwb"),
        (source, source / "acquisition" / "inside.zarr"),
        (source, f"local://{source}/inside.zarr"),
        (f"local://{source}", source / "inside.nwb"),
    ]
    for first, second in pairs:
        with pytest.raises(OptionError, match="is inside of"):
            convert(first, second, overwrite=True)
    assert tree_of(folder) == before


def test_memory_that_holds_its_source_is_not_emptied(memory_url: str) -> None:
    for outer in ("memory://identity", "memory:///identity/", "simplecache::memory://identity"):
        with pytest.raises(OptionError, match="is inside of"):
            export(memory_url, outer, force_overwrite=True)
        with pytest.raises(OptionError, match="is inside of"):
            export(memory_url, FsspecStore.from_url(outer), force_overwrite=True)
        with pytest.raises(StoreExistsError):
            export(memory_url, outer)
    with pytest.raises(OptionError, match="is inside of"):
        export(memory_url, memory_url + "/inside.zarr")
    assert values_of(memory_url) == VALUES
    export(memory_url, memory_url.replace("file.zarr", "file2.zarr"))
    assert values_of(memory_url.replace("file.zarr", "file2.zarr")) == VALUES


# -- zip files -------------------------------------------------------------------------------------


def test_a_zip_file_is_one_store_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "file.zip"
    store = ZipStore(path, mode="w")
    written(store)
    store.close()
    before = path.read_bytes()
    with NWBZarrIO(str(path), "r") as src_io, NWBZarrIO(ZipStore(path, mode="w"), "w") as io:
        with pytest.raises(OptionError, match="both source and destination"):
            io.export(src_io)
    assert path.read_bytes() == before
    with pytest.raises(OptionError, match="is inside of"):
        export(str(path), f"local://{tmp_path}", force_overwrite=True)
    assert path.read_bytes() == before
    export(str(path), MemoryStore())
    export(str(path), tmp_path / "unzipped.zarr")
    assert values_of(tmp_path / "unzipped.zarr") == VALUES


# -- buckets ---------------------------------------------------------------------------------------

KEYS = {"key": "a", "secret": "b"}


def s3(path: str, endpoint: str | None = None, **options: Any) -> Any:
    given = {**KEYS, **options}
    if endpoint is not None:
        given["client_kwargs"] = {"endpoint_url": endpoint}
    return locate(path, given)


def obstore_s3(prefix: str, endpoint: str) -> Any:
    config = {"endpoint": endpoint, "access_key_id": "a", "secret_access_key": "b"}
    made = obstore_stores.S3Store("bucket", prefix=prefix, config=config, region="us-east-1")
    return locate(ObjectStore(made))


HERE = "http://127.0.0.1:9000"


@pytest.mark.parametrize(
    "other",
    [
        lambda: s3("s3a://bucket/day/a.zarr", HERE),
        lambda: s3("s3://bucket/day/a.zarr/", HERE + "/"),
        lambda: s3("s3://bucket/day/a.zarr", "http://localhost:9000"),
        lambda: s3("s3://bucket/day/a.zarr", "http://LOCALHOST:9000/"),
        lambda: s3("s3://bucket/day/a.zarr", endpoint_url="http://[::1]:9000"),
        lambda: locate(
            "simplecache::s3://bucket/day/a.zarr",
            {"s3": {**KEYS, "endpoint_url": "http://127.0.0.1:9000/"}},
        ),
        lambda: locate(
            FsspecStore.from_url(
                "s3a://bucket/day/a.zarr", storage_options={**KEYS, "endpoint_url": HERE}
            )
        ),
        lambda: obstore_s3("day/a.zarr", "http://localhost:9000/"),
    ],
)
def test_one_prefix_of_a_bucket_in_every_spelling(other: Callable[[], Any]) -> None:
    one, found = s3("s3://bucket/day/a.zarr", HERE), other()
    assert relation_of(one, found) is relation_of(found, one) is Relation.SAME
    assert relation_of(s3("s3://bucket/day", HERE), found) is Relation.AROUND
    assert relation_of(found, s3("s3a://bucket", HERE)) is Relation.INSIDE
    assert relation_of(found, s3("s3://bucket/day/a.zarr2", HERE)) is Relation.APART
    assert relation_of(found, s3("s3://bucket2/day/a.zarr", HERE)) is Relation.APART


def test_a_server_that_the_environment_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://localhost:9000")
    one, other = s3("s3://bucket/a.zarr"), s3("s3://bucket/a.zarr", HERE)
    assert relation_of(one, other) is Relation.SAME


def test_clouds_are_apart_from_memory(memory_url: str) -> None:
    assert relation_of(s3("s3://bucket/a.zarr", HERE), locate(memory_url)) is Relation.APART
    assert relation_of(locate(memory_url), s3("s3://bucket/a.zarr", HERE)) is Relation.APART
