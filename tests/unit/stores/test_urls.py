"""Mistyped URLs are refused, and nothing else is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hdmf_zarr.errors import OptionError
from hdmf_zarr.stores.urls import BUCKETS, check_spelling


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a.zarr",
        "/data/a.zarr",
        "./s3/a.zarr",
        "c:/data/a.zarr",
        "c:\\data\\a.zarr",
        "C:a.zarr",
        "day:2/a.zarr",
        "memory:a.zarr",
        "s3:",
        "s3:/",
        "s3:\\a",
        "S3s://Bucket//a",
        "file:///data//a.zarr",
        "memory://a//b",
        "memory://",
        "https://host//a//b",
        "simplecache::s3://bucket//a",
        "s3://bucket",
        "s3://bucket/",
        "s3://bucket/a//",
        "s3://bucket/a/b.zarr",
        "gs://bucket/a",
        "az://container/a",
    ],
)
def test_a_path_or_url_is_let_through(path: str) -> None:
    check_spelling(path)


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        ("S3://bucket/a", "small letters: s3://bucket/a"),
        ("HTTPS://host/a", "small letters: https://host/a"),
        ("Memory://a", "small letters: memory://a"),
        ("s3://", "names no bucket: give s3://BUCKET/NAME"),
        ("s3:///", "names no bucket: give s3://BUCKET/NAME"),
        ("s3:///a", "names no bucket: give s3://BUCKET/NAME"),
        ("gcs://bucket//a", "has an empty part"),
        ("s3://bucket/a//b", "has an empty part"),
        ("s3://bucket/a//b/", "has an empty part"),
        ("s3://bucket//", "has an empty part"),
        ("s3:bucket/a", "a URL has two slashes, s3://bucket/a"),
        ("s3:/bucket/a", "a URL has two slashes, s3://bucket/a"),
        ("HTTPS:/host/a", "a URL has two slashes, https://host/a"),
        ("http:host", "with the name 'http': a URL has two slashes, http://host"),
    ],
)
def test_a_mistyped_url_is_refused_with_advice(path: str, advice: str) -> None:
    with pytest.raises(OptionError, match=re.escape(advice)) as caught:
        check_spelling(path)
    assert str(caught.value).startswith(repr(path))


@pytest.mark.parametrize("scheme", sorted(BUCKETS))
def test_every_scheme_of_buckets_wants_one(scheme: str) -> None:
    check_spelling(f"{scheme}://bucket/a")
    with pytest.raises(OptionError, match="names no bucket"):
        check_spelling(f"{scheme}://")


def test_a_folder_that_is_there_is_no_mistyped_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match="two slashes"):
        check_spelling("s3:a.zarr")
    try:
        (tmp_path / "s3:a.zarr").mkdir()
    except OSError:
        pytest.skip("the file system has no such names")
    check_spelling("s3:a.zarr")
