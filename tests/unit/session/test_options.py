"""Options of the public signatures, checked before anything is done."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from hdmf_zarr.errors import OptionError
from hdmf_zarr.session.options import (
    checked_write_args,
    refuse_hdf5_options,
    warn_ignored,
    warn_without_effect,
)


@pytest.mark.parametrize("given", [None, {}])
def test_without_write_args_the_options_of_the_signature_count(given: Any) -> None:
    assert checked_write_args(given, consolidate_metadata=False) == {"consolidate_metadata": False}


def test_write_args_go_before_an_option_of_the_same_name() -> None:
    given = {"consolidate_metadata": True, "link_data": True, "exhaust_dci": False}
    assert checked_write_args(given, consolidate_metadata=False) == given


def test_write_args_are_not_changed() -> None:
    given = {"link_data": True}
    checked_write_args(given, consolidate_metadata=True)["link_data"] = False
    assert given == {"link_data": True}


def test_unknown_write_args_are_named_with_those_that_are_known() -> None:
    with pytest.raises(OptionError, match=r"\['export_source', 'links'\]; known are .*exhaust_dci"):
        checked_write_args({"links": 1, "export_source": 2}, consolidate_metadata=True)


@pytest.mark.parametrize("name", ["driver", "aws_region"])
def test_an_option_of_hdf5_is_refused_and_named(name: str) -> None:
    with pytest.raises(OptionError, match=f"{name}='ros3' is an option for HDF5 files"):
        refuse_hdf5_options(**{name: "ros3"})


def test_options_that_were_left_out_pass_in_silence() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        refuse_hdf5_options(driver=None, aws_region=None)
        warn_without_effect(synchronizer=None, object_codec_class=None)


@pytest.mark.parametrize("value", [True, False, object()])
def test_an_option_of_zarr_2_has_a_warning_whatever_its_value(value: object) -> None:
    with pytest.warns(UserWarning, match="synchronizer had a meaning with zarr-python 2"):
        warn_without_effect(synchronizer=value, object_codec_class=None)


def test_an_option_without_effect_is_named_with_the_reason() -> None:
    with pytest.warns(UserWarning, match="herd is ignored: there is no herd_path"):
        warn_ignored("herd", "there is no herd_path")
