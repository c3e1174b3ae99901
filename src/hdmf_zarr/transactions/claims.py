"""One writer at a time to a store in a bucket: only one can put the journal.

A bucket has no locks. The journal is put with the condition that none exists: one of two writers succeeds,
and the other one gets an error that names the first. A writer on this machine is alive as long as its
process. A writer on another machine renews its journal, and counts as dead if it has not done so for a while.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
import threading
import time
import uuid
import warnings
import weakref

from hdmf_zarr.convention import JSON
from hdmf_zarr.errors import LockedError
from hdmf_zarr.stores.bytestore import ByteStore, ZarrByteStore
from hdmf_zarr.stores.objects import NoConditionsError, Version
from hdmf_zarr.transactions.journal import JOURNAL, Recovery, recover
from hdmf_zarr.transactions.lock import in_words
from hdmf_zarr.transactions.writers import (
    LIVING,
    WRITER,
    HandOver,
    ask_to_hand_over,
    lives_here,
    recover_folder,
    this_writer,
    warn_of_dropped,
    writer_in,
)

logger = logging.getLogger(__name__)

ENDED = "ended"
"""Key that marks a journal whose writer has ended, but could not remove it."""

RENEWED_SECONDS = 60.0
"""Interval at which a writer renews its journal for writers on other machines."""

BELIEVED_SECONDS = 600.0
"""Time after the last renewal during which a writer counts as alive."""

_warned: set[str] = set()


class Claim:
    """The journal of a store, which gives only this writer the right to write to it.

    Parameters
    ----------
    bytestore : ZarrByteStore
    hand_over : callable, optional
        Function that hands the store over to another writer of this process.

    Attributes
    ----------
    is_held : bool
        Whether the journal exists, and names this writer.
    is_lost : bool
        Whether another writer considered this one dead and took over, so that it must not change the store.
    """

    def __init__(self, bytestore: ZarrByteStore, hand_over: HandOver | None = None) -> None:
        self._bytestore = bytestore
        self.hand_over = hand_over
        self.token = uuid.uuid4().hex
        self._content = b""
        self._renewed = 0.0
        self._lock = threading.Lock()
        self._stop: threading.Event | None = None
        self.is_held = self.is_lost = False
        self._process = os.getpid()

    def note_root(self) -> None:
        """Do nothing: a conditional put compares the root's document, see `Hierarchy`."""

    def take(self, content: bytes, instead_of: Version | None = None) -> None:
        """Create the journal, or replace that of a dead writer.

        Parameters
        ----------
        content : bytes
        instead_of : Version, optional
            Version of the journal of a dead writer.

        Raises
        ------
        LockedError
            If another writer has a journal there.
        """
        signed = self._signed(content)
        try:
            is_taken = self._put(signed, instead_of) or self._take_ended(signed)
        except NoConditionsError as error:
            _warn_unconditional(self._bytestore.location.uri, str(error))
            self._ask_holder()
            self._bytestore.set(JOURNAL, signed)
            is_taken = True
        if not is_taken:
            _raise_locked(self._bytestore, self._bytestore.get(JOURNAL))
        if not self._bytestore.objects.is_exclusive:
            _warn_unconditional(self._bytestore.location.uri, "its kind of store has none")
        self._content, self.is_held, self._renewed = content, True, time.monotonic()
        LIVING[self.token] = self
        self._stop = threading.Event()
        _renew_until(self._stop, weakref.ref(self))

    def give_back(self) -> None:
        """Release the store after an interrupt; the next writer undoes the changes."""
        self.leave()

    def _put(self, signed: bytes, instead_of: Version | None) -> bool:
        """Create the journal; ask another writer of this process, if it has one, to hand over the store."""
        if self._bytestore.put_if(JOURNAL, signed, instead_of):
            return True
        return self._ask_holder() and self._bytestore.put_if(JOURNAL, signed, None)

    def _ask_holder(self) -> bool:
        return ask_to_hand_over(writer_in(self._bytestore.get(JOURNAL)))

    def _take_ended(self, signed: bytes) -> bool:
        """Replace a journal whose writer has ended, but could not remove it."""
        version = self._bytestore.version(JOURNAL)
        if ENDED not in _parsed(self._bytestore.get(JOURNAL)):
            return False
        return self._bytestore.put_if(JOURNAL, signed, version)

    def write(self, content: bytes) -> None:
        """Replace the content of the journal."""
        with self._lock:
            self.check()
            self._bytestore.set(JOURNAL, self._signed(content))
            self._content, self._renewed = content, time.monotonic()

    def check(self, *, with_root: bool = False) -> None:
        """Raise `LockedError` if another writer considered this one dead and took over.

        Parameters
        ----------
        with_root : bool
            Ignored, see `FolderClaim.check`; here a conditional put compares the root's document.
        """
        if time.monotonic() - self._renewed < BELIEVED_SECONDS / 2:
            return
        found = self._bytestore.get(JOURNAL)
        if writer_in(found).get("token") != self.token:
            self.is_held, self.is_lost = False, True
            raise LockedError(
                f"{self._bytestore.location.uri}: another writer has taken this one, of which nothing was "
                "heard for a while, for dead; nothing of it is committed: open the store again"
            )

    def renew(self) -> None:
        """Renew the journal, which shows writers on other machines that this writer is alive."""
        if os.getpid() != self._process or time.monotonic() - self._renewed < RENEWED_SECONDS / 2:
            return
        with self._lock:
            if self.is_held:
                self.check()
                self._bytestore.set(JOURNAL, self._signed(self._content))
                self._renewed = time.monotonic()

    def release(self) -> None:
        """Remove the journal, so that other writers can write."""
        self.forget()
        if self.is_held and os.getpid() == self._process:
            with self._lock:
                self.check()
                self._bytestore.delete(JOURNAL)
                self.is_held = False

    def leave(self) -> None:
        """Mark the journal, which could not be removed, as that of a writer that has ended."""
        if self.is_held and os.getpid() == self._process:
            with contextlib.suppress(OSError), self._lock:
                self._bytestore.set(
                    JOURNAL, json.dumps({**_parsed(self._content), ENDED: True}).encode()
                )
        self.is_held = False
        self.forget()

    def forget(self) -> None:
        """Leave the journal and stop renewing it, so that the next writer treats this one as dead."""
        if self._stop is not None:
            self._stop.set()
        LIVING.pop(self.token, None)

    def _signed(self, content: bytes) -> bytes:
        writer = {**this_writer(self.token), "renewed": time.time()}
        return json.dumps({**_parsed(content), WRITER: writer}).encode("utf-8")


def recover_for_writing(bytestore: ByteStore, *, takes_over: bool = True) -> Recovery | None:
    """Undo the changes of a dead writer, see `journal.recover`, but not of a living one.

    Parameters
    ----------
    bytestore : ByteStore
    takes_over : bool
        Whether to ask an idle writer of this process for the store.

    Raises
    ------
    LockedError
        If the writer may be alive.
    """
    if not isinstance(bytestore, ZarrByteStore):
        return recover_folder(bytestore, takes_over=takes_over)
    bytestore.objects.forget_listings()
    version = bytestore.version(JOURNAL)
    if version is None:
        return None
    if takes_over and ask_to_hand_over(writer_in(bytestore.get(JOURNAL))):
        version = bytestore.version(JOURNAL)
    journal = None if version is None else bytestore.get(JOURNAL)
    if journal is None:
        return None
    if _may_live(writer_in(journal)):
        _raise_locked(bytestore, journal)
    claim = Claim(bytestore)
    claim.take(journal, instead_of=version)
    try:
        recovery = recover(bytestore)
        warn_of_dropped(bytestore.location.uri, writer_in(journal))
        return recovery
    except OSError:
        claim.leave()
        if ENDED not in _parsed(journal):
            raise
        return None  # neither the ended writer nor this one can remove it
    finally:
        claim.forget()


def _raise_locked(bytestore: ZarrByteStore, journal: bytes | None) -> None:
    uri, writer = bytestore.location.uri, writer_in(journal)
    raise LockedError(
        f"{uri} is being written to by {in_words(writer)}; close it there first (reading is possible at any "
        f"time). If that writer is dead: what it left is undone by the next one, of another machine after "
        f"{BELIEVED_SECONDS / 60:.0f} minutes"
    )


def _parsed(journal: bytes | None) -> dict[str, JSON]:
    """Return the content of a journal; an empty mapping if it is incomplete."""
    try:
        content = json.loads(journal or b"{}")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _may_live(writer: dict[str, JSON]) -> bool:
    """Return whether a writer may be alive; a writer on another machine renews its journal."""
    if writer.get("host") == socket.gethostname() or not isinstance(writer.get("pid"), int):
        return lives_here(writer)
    renewed = writer.get("renewed")
    return isinstance(renewed, (int, float)) and time.time() - renewed < BELIEVED_SECONDS


def _warn_unconditional(uri: str, reason: str) -> None:
    service = "/".join(uri.split("/")[:3])
    if service in _warned:
        return
    _warned.add(service)
    message = (
        f"{uri}: nothing keeps a second writer out, since there are no conditional puts ({reason}); see to "
        "it that only one process writes to a store at a time"
    )
    warnings.warn(message, UserWarning, stacklevel=2)


def _renew_until(stop: threading.Event, claim: weakref.ref[Claim]) -> None:
    def renew() -> None:
        while not stop.wait(RENEWED_SECONDS):
            held = claim()
            if held is None:
                return
            with contextlib.suppress(Exception):  # the writer itself meets the same error
                held.renew()
            del held

    threading.Thread(target=renew, name="hdmf-zarr-writer", daemon=True).start()
