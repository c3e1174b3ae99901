"""The tree of errors: each is ours and a builtin, and the docstring draws the true tree."""

from __future__ import annotations

import re

import pytest
from hdmf.backends.errors import UnsupportedOperation

from hdmf_zarr import errors

BUILTINS = {
    "StoreNotFoundError": (FileNotFoundError, OSError),
    "NotAStoreError": (ValueError,),
    "StoreExistsError": (FileExistsError, OSError),
    "ObjectExistsError": (ValueError,),
    "NoDataError": (UnsupportedOperation, ValueError),
    "ModeError": (UnsupportedOperation, ValueError),
    "LockedError": (BlockingIOError, OSError),
    "ForbiddenError": (PermissionError, OSError),
    "LostWriteError": (OSError,),
    "RemoteStoreError": (OSError,),
    "UnsupportedFormatError": (NotImplementedError,),
    "MetadataError": (ValueError,),
    "BrokenLinkError": (KeyError, ValueError),
    "ChunkError": (errors.MetadataError, RuntimeError),
    "DtypeError": (TypeError, ValueError),
    "EncodingError": (ValueError,),
    "LayoutError": (ValueError,),
    "SpecialFileError": (errors.ChunkError, OSError),
    "EscapeError": (PermissionError, OSError),
    "OptionError": (ValueError, TypeError),
    "MissingExtraError": (ImportError,),
    "WorkerError": (RuntimeError,),
}


def test_every_error_is_in_the_table_of_this_test() -> None:
    assert set(errors.__all__) == {"HDMFZarrError", *BUILTINS}


@pytest.mark.parametrize("name", sorted(BUILTINS))
def test_an_error_is_ours_and_what_a_caller_would_catch(name: str) -> None:
    error = getattr(errors, name)
    assert issubclass(error, errors.HDMFZarrError)
    for builtin in BUILTINS[name]:
        assert issubclass(error, builtin)


@pytest.mark.parametrize("name", errors.__all__)
def test_the_message_is_shown_as_it_was_given(name: str) -> None:
    assert str(getattr(errors, name)("store:/path has no 'x'")) == "store:/path has no 'x'"


@pytest.mark.parametrize("name", errors.__all__)
def test_an_error_without_a_message_can_be_shown(name: str) -> None:
    assert str(getattr(errors, name)()) == ""


def test_the_docstring_draws_the_tree() -> None:
    drawn = {
        match["name"]: set(match["bases"].split(", "))
        for match in re.finditer(
            r"^    [├└]── (?P<name>\w+) +(?P<bases>\w+(?:, \w+)*)  +\S", errors.__doc__, re.M
        )
    }
    true = {
        name: {base.__name__ for base in getattr(errors, name).__bases__} - {"HDMFZarrError"}
        for name in BUILTINS
    }
    assert drawn == true
