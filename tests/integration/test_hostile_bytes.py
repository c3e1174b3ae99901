"""Documents and compressed bytes that are made to cost their reader much, or to confuse it."""

from __future__ import annotations

import bz2
import gzip
import json
import subprocess
import sys
import zlib
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
from pynwb import NWBFile, TimeSeries

from hdmf_zarr import NWBZarrIO, ZarrDataIO, ZarrIO, check
from hdmf_zarr.codecs.checked import check_compressed
from hdmf_zarr.codecs.inflate import inflater, streams
from hdmf_zarr.core import limits
from hdmf_zarr.errors import ChunkError, HDMFZarrError, MetadataError
from hdmf_zarr.metadata.codec_chain import direct_chain
from hdmf_zarr.metadata.node import array_node

N = 500_000

READ = """
import sys, time, warnings
warnings.simplefilter("ignore")
import pynwb
from hdmf_zarr import NWBZarrIO, check
from hdmf_zarr.errors import HDMFZarrError
path = sys.argv[1]
start = time.process_time()
for selection in (slice(None), slice(None, None, 7)):
    try:
        with NWBZarrIO(path, "r") as io:
            print("read", io.read().acquisition["raw"].data[selection].sum())
    except HDMFZarrError as error:
        print("refused", type(error).__name__)
print("findings", sorted({finding.code for finding in check(path).errors}))
print("seconds", time.process_time() - start)
"""


def written(path: Path, zarr_format: int = 3, **options: Any) -> Path:
    content = NWBFile("session", "an identifier", datetime(2020, 1, 1, tzinfo=UTC))
    data = ZarrDataIO(np.arange(N, dtype="int64"), chunks=(N,), **options)
    content.add_acquisition(TimeSeries(name="raw", data=data, unit="V", rate=1.0))
    with NWBZarrIO(path, "w", zarr_format=zarr_format) as io:
        io.write(content)
    return path


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("where", ["before", "alone"])
def test_empty_gzip_members_take_time_by_their_number(
    tmp_path: Path, where: str, zarr_format: int
) -> None:
    path = written(tmp_path / "a.zarr", zarr_format, compressor=numcodecs.GZip(1))
    file = path / "acquisition/raw/data" / ("c.0" if zarr_format == 3 else "0")
    empty, content = gzip.compress(b"") * 150_000, file.read_bytes()
    made = {"before": empty + content, "alone": empty}[where]
    file.write_bytes(made)
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    *said, seconds = done.stdout.splitlines()
    assert float(seconds.split()[1]) < 15, done.stdout
    if where == "alone":
        assert said == ["refused ChunkError"] * 2 + ["findings ['broken-chunk']"]
    else:
        values = np.arange(N)
        assert said == [f"read {values.sum()}", f"read {values[::7].sum()}", "findings []"]


STARTS = {
    "gzip": (gzip.compress, lambda: inflater(zlib.MAX_WBITS + 16)),
    "zlib's gzip": (gzip.compress, lambda: zlib.decompressobj(zlib.MAX_WBITS + 16)),
    "bz2": (bz2.compress, bz2.BZ2Decompressor),
}


@pytest.mark.parametrize("name", sorted(STARTS))
@pytest.mark.parametrize("sizes", [[], [0], [1, 0, 5], [1000, 10, 300_000, 0], [300] * 500])
@pytest.mark.parametrize("most", [1, 2**20])
def test_streams_after_each_other_become_what_each_was(
    name: str, sizes: list[int], most: int
) -> None:
    if sum(sizes) > 200_000:
        most = max(most, 2**16)
    compress, start = STARTS[name]
    random = np.random.default_rng(0)
    values = [random.integers(0, 4, size, "u1").tobytes() for size in sizes]
    encoded = b"".join(map(compress, values))
    assert b"".join(streams(start, encoded, most)) == b"".join(values)
    if encoded:
        with pytest.raises(EOFError):
            list(streams(start, encoded[:-1], most))


def test_streams_of_one_chunk_are_still_refused_beyond_the_limit() -> None:
    document = {
        "shape": [1000],
        "data_type": "uint8",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1000]}},
        "codecs": [{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}],
    }
    chain = direct_chain(array_node(document))
    assert chain is not None
    parts = gzip.compress(bytes(400)) + gzip.compress(bytes(600))
    assert chain.decode(parts).tolist() == [0] * 1000
    with pytest.raises(ChunkError, match="more than the 1000 bytes"):
        chain.decode(parts + gzip.compress(b"1"))
    with pytest.raises(ChunkError, match="truncated"):
        chain.decode(parts[:-4])
    with pytest.raises(ChunkError, match="more than the 1000 bytes"):
        chain.decode(gzip.compress(bytes(400)) + gzip.compress(bytes(10**7)))
    big = bz2.compress(bytes(10**8))
    with pytest.raises(MetadataError, match="at most"):
        check_compressed("bz2", big, 1000, 1000)


DIGITS = "1" * 5000


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("text", [DIGITS, "-" + DIGITS, "[" * 100_000])
def test_a_number_of_too_many_digits_is_an_error_of_ours(
    tmp_path: Path, text: str, zarr_format: int
) -> None:
    path = written(tmp_path / "a.zarr", zarr_format)
    names = ["zarr.json"] if zarr_format == 3 else [".zmetadata", ".zattrs"]
    for name in names:
        content = (path / name).read_text()
        (path / name).write_text(content.replace("{", '{"odd":' + text + ",", 1))
    assert ZarrIO.can_read(path) is False
    for mode in ("r", "r+"):
        with pytest.raises(HDMFZarrError), NWBZarrIO(path, mode) as io:
            io.read()
    assert not check(path).is_clean


def test_digits_in_a_nodes_own_document_and_in_a_journal(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zarr")
    file = path / "acquisition/zarr.json"
    file.write_text(file.read_text().replace("{", '{"odd":' + DIGITS + ",", 1))
    with pytest.raises(MetadataError, match=r"acquisition/zarr.json is not valid JSON"):
        NWBZarrIO(path, "r+").read()
    path = written(tmp_path / "b.zarr")
    for text in (DIGITS, "[" * 100_000):
        (path / ".append.partial").write_text('{"append": ' + text)
        with NWBZarrIO(path, "r+") as io:
            assert io.read().acquisition["raw"].data[3] == 3
        assert not (path / ".append.partial").exists()


@pytest.mark.parametrize("value", [10**4000, -(10**400)], ids=["large", "negative"])
@pytest.mark.parametrize("name", ["shape", "fill_value", "chunk"])
def test_a_huge_number_in_the_metadata_of_an_array_is_an_error_of_ours(
    tmp_path: Path, name: str, value: int
) -> None:
    path = written(tmp_path / "a.zarr")
    file = path / "zarr.json"
    root = json.loads(file.read_text())
    document = root["consolidated_metadata"]["metadata"]["acquisition/raw/data"]
    if name == "chunk":
        document["chunk_grid"]["configuration"]["chunk_shape"] = [value]
    else:
        document[name] = [value] if name == "shape" else value
    file.write_text(json.dumps(root))
    # A fill value that nothing needs may stay unread.
    needed = pytest.raises(HDMFZarrError) if name != "fill_value" else nullcontext()
    with needed, NWBZarrIO(path, "r") as io:
        assert (io.read().acquisition["raw"].data[::7] == np.arange(N)[::7]).all()
    assert not check(path).is_clean


def test_json_says_where_it_is_wrong() -> None:
    with pytest.raises(MetadataError, match="here is not valid JSON"):
        limits.parsed_json(DIGITS, "here")
    assert limits.parsed_json(b'{"a": NaN}', "here").keys() == {"a"}
