"""Anonymous S3 requests for users without credentials."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hdmf_zarr.errors import OptionError
from hdmf_zarr.stores.location import Location

logger = logging.getLogger(__name__)

S3_SCHEMES = ("s3://", "s3a://")

WHO_SIGNS = frozenset(
    {"anon", "key", "secret", "token", "username", "password", "session", "profile"}
)
"""Options of s3fs that set whether requests are signed, and with which credentials."""


def with_unsigned(
    url: str, storage_options: Mapping[str, Any] | None, *, read_only: bool
) -> dict[str, Any]:
    """Return the options for a URL, with ``anon`` where S3 is read without credentials.

    Raises
    ------
    OptionError
        If the URL is opened for writing to S3 without credentials.
    """
    options = dict(storage_options or {})
    if not url.startswith(S3_SCHEMES) or _is_told(options) or _has_credentials():
        return options
    if not read_only:
        raise OptionError(
            f"{url} cannot be written: there are no credentials for S3. Set them up (environment, "
            "~/.aws/credentials), or give storage_options: 'key' and 'secret', 'profile', or 'anon': True "
            "for a place to which anybody may write"
        )
    logger.debug("%s is read by unsigned requests: there are no credentials for S3", url)
    return {**options, "anon": True}


def without_known_secrets(location: Location) -> Location:
    """Return a location without the credentials that the environment or a profile also has.

    Parameters
    ----------
    location : Location
        Location that is sent to another process.
    """
    options = location.storage_options or {}
    if not location.uri.startswith(S3_SCHEMES) or not options.get("secret"):
        return location
    try:
        from botocore.session import Session

        known = Session(profile=options.get("profile")).get_credentials()
    except Exception as error:  # a broken configuration can raise any error
        logger.debug("%s: no credentials are known: %s", location.uri, error)
        return location
    given = (options.get("key"), options.get("secret"), options.get("token"))
    if known is None or given != (known.access_key, known.secret_key, known.token):
        return location
    kept = {name: value for name, value in options.items() if name not in _SECRETS}
    return replace(location, storage_options=kept)


_SECRETS = frozenset({"key", "secret", "token"})


def _is_told(options: Mapping[str, Any]) -> bool:
    """Return whether the user has configured signing: in the options, or in fsspec's configuration."""
    try:
        from fsspec.config import conf
    except ImportError:
        return True  # the missing package is reported when the URL is opened
    configured: Mapping[str, Any] = conf.get("s3", {})
    client = {**configured.get("client_kwargs", {}), **(options.get("client_kwargs") or {})}
    return bool(WHO_SIGNS & {*configured, *options}) or "aws_access_key_id" in client


def _has_credentials() -> bool:
    """Return whether the AWS libraries find credentials."""
    try:
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session
    except ImportError:
        return True
    try:
        return Session().get_credentials() is not None
    except BotoCoreError:  # a missing profile, which s3fs reports
        return True
