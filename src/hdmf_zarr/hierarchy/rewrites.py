"""Arrays that were rewritten next to their old chunks: the names of the new ones, until the commit.

New chunks have names of another form than the old ones, which a reader of the old metadata still finds.
Format 2 has no second form for one dimension: there the new chunks get names of format 3, and take the old
names at the commit. The old chunks are saved before, and the journal lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hdmf_zarr.convention import JSON
from hdmf_zarr.core.system import make_durable
from hdmf_zarr.errors import LostWriteError
from hdmf_zarr.hierarchy.metadata_writer import MetadataWriter
from hdmf_zarr.metadata import format2
from hdmf_zarr.metadata.chunk_keys import (
    chunk_key,
    coordinates_of,
    has_form,
    other_form,
    other_format2_form,
    toggled,
)
from hdmf_zarr.metadata.consolidated import entries_of, with_entries
from hdmf_zarr.metadata.node import array_node, with_chunk_keys
from hdmf_zarr.stores.bytestore import LocalByteStore
from hdmf_zarr.stores.keys import (
    METADATA_KEYS,
    ZARRAY,
    ZATTRS,
    ZMETADATA,
)
from hdmf_zarr.transactions.journal import (
    JOURNAL,
    SAVED,
    documents_in,
    documents_of_truth,
    put_back,
    save_chunks,
)


class Rewrites:
    """The arrays of a store that have been rewritten since the last commit.

    Parameters
    ----------
    nodes : MetadataWriter

    Attributes
    ----------
    has_named : bool
        Whether the journal announces the next commit: once it is written, nothing is undone.
    """

    def __init__(self, nodes: MetadataWriter) -> None:
        self._nodes = nodes
        self._committed: dict[str, dict[str, JSON]] = {}
        self._replaced: dict[str, list[str]] = {}
        self.has_named = False

    def keys_for(self, path: str, n_dimensions: int) -> dict[str, JSON]:
        """Return an encoding of chunk keys for an array, see `Hierarchy.keys_for_rewrite`."""
        document = self._nodes.documents[path]
        current = dict(array_node(document).chunk_keys)
        committed = self._committed.setdefault(path, current)
        replacement = self._nodes.replacement
        if replacement is not None and replacement.keys:
            keys = replacement.unused_keys(path, toggled(current), n_dimensions, current)
        elif self._nodes.zarr_format == 2:
            least = min(n_dimensions, len(array_node(document).shape))
            keys = other_format2_form(least, current, committed)
        else:
            keys = other_form(current, committed)
        self._remove_chunks(path, lambda key: has_form(keys, key))
        return keys

    def stage(self, path: str, before: dict[str, JSON]) -> None:
        """Mark a new array whose chunks take the names of chunks of the replaced store at the commit.

        Parameters
        ----------
        path : str
        before : dict
            Encoding of the keys of the old chunks.
        """
        self._committed[path] = before

    def check(self) -> None:
        """Raise `LostWriteError` unless the arrays have all their new chunks."""
        for path in self._committed:
            if path in self._nodes:
                self._nodes.check_chunks(path)

    # -- undoing, and removing old chunks --------------------------------------------------------

    def put_back(self) -> None:
        """Restore the old chunks whose names new chunks have taken."""
        put_back(self._nodes.bytestore, self._replaced)

    def remove_failed(self) -> None:
        """Remove the chunks that neither the last commit nor the present documents name."""
        documents = self._nodes.documents
        for path, committed in list(self._committed.items()):
            if path not in documents:
                del self._committed[path]
                continue
            present = array_node(documents[path]).chunk_keys
            self._remove_chunks(path, lambda key, keep=(committed, present): _has_none(keep, key))  # type: ignore[misc]
            if present == committed:
                del self._committed[path]

    def remove_obsolete(self) -> None:
        """Remove the chunks that the present documents, which are committed, do not name."""
        if self._replaced:
            self._nodes.bytestore.delete_prefix(SAVED)
            self._replaced = {}
        for path in self._committed.keys() & self._nodes.documents.keys():
            keys = array_node(self._nodes.documents[path]).chunk_keys
            self._remove_chunks(path, lambda key, keys=keys: not has_form(keys, key))  # type: ignore[misc]
        self._committed.clear()

    def _remove_chunks(self, path: str, is_obsolete: Callable[[str], bool]) -> None:
        bytestore = self._nodes.bytestore
        for key in list(bytestore.list_prefix(path)):
            name = key.removeprefix(path + "/")
            if name not in METADATA_KEYS and is_obsolete(name):
                bytestore.delete(key)

    # -- names that format 2 has only once -------------------------------------------------------

    def name_chunks(self, *, consolidate: bool, durable: bool) -> None:
        """Rename staged chunks to the names of the old ones; meanwhile readers refuse these arrays."""
        self.has_named = False
        documents = self._nodes.documents
        staged = {
            path: dict(array_node(documents[path]).chunk_keys)
            for path in self._committed
            if path in documents and self._nodes.is_staged(documents[path])
        }
        for path in staged:
            final = toggled(self._committed[path])
            documents[path] = with_chunk_keys(documents[path], final)
        if staged and (self._nodes.is_live or self._nodes.replacement is not None):
            self._save_before(list(staged), consolidate=consolidate, durable=durable)
        for path, keys in staged.items():
            self._name_chunks_of(path, keys)

    def _save_before(self, paths: list[str], *, consolidate: bool, durable: bool) -> None:
        bytestore, append = self._nodes.bytestore, self._nodes.open_append
        before = documents_of_truth(
            documents_in(bytestore, [ZMETADATA]), bytestore.get(JOURNAL) or b"{}"
        )
        for path in paths:
            self._replaced[path] = self._names_before(path)
            save_chunks(bytestore, path, self._replaced[path])
            self._check_saved(path)
        names = (ZARRAY, ZATTRS)
        append.keep(f"{path}/{name}" for path in paths for name in names)
        append.keep([ZMETADATA])
        commit = self._nodes.consolidated_format2() if consolidate else None
        append.rewrite_journal(before, self._replaced, commit)
        self.has_named = consolidate
        if durable and isinstance(bytestore, LocalByteStore):
            make_durable(bytestore.root)
        self._let_nobody_read(paths, before or {})
        self._nodes.note_root()

    def _check_saved(self, path: str) -> None:
        """Raise `LostWriteError` unless the chunks that will be replaced are saved."""
        bytestore = self._nodes.bytestore
        if isinstance(bytestore, LocalByteStore):
            return
        saved = set(bytestore.list_prefix(f"{SAVED}/{path}"))
        lost = [name for name in self._replaced[path] if f"{SAVED}/{path}/{name}" not in saved]
        if lost:
            raise LostWriteError(
                f"{self._nodes.uri}:/{SAVED}/{path}/{lost[0]} was written, and the store does not have "
                "it; what was there before is kept: look at the store, and write again"
            )

    def _names_before(self, path: str) -> list[str]:
        """Return the names of the chunks that may be replaced."""
        replacement = self._nodes.replacement
        if replacement is None:
            return self._names(path, self._committed[path])
        return sorted(replacement.chunk_names(path))

    def _let_nobody_read(self, paths: list[str], before: dict[str, JSON]) -> None:
        """Mark arrays so that every reader refuses them, but nothing else."""
        bytestore = self._nodes.bytestore
        keys = [f"{path}/{ZARRAY}" for path in paths]
        marked = {key: format2.being_replaced(before[key]) for key in keys if key in before}
        if (held := before.get(ZMETADATA)) is not None:
            entries = {key: marked.get(key, entry) for key, entry in entries_of(held).items()}
            bytestore.set(ZMETADATA, format2.encode(with_entries(held, entries)))
        for key, metadata in marked.items():
            bytestore.set(key, format2.encode(metadata))
        if held is None and (attributes := bytestore.get(ZATTRS)) is not None:
            # This changes the stamp, so that readers of the old documents notice it, see `stamp_of`.
            bytestore.set(ZATTRS, attributes)

    def _names(self, path: str, encoding: dict[str, JSON]) -> list[str]:
        listed = self._nodes.bytestore.list_prefix(path)
        names = (key.removeprefix(path + "/") for key in listed)
        return sorted(name for name in names if has_form(encoding, name))

    def _name_chunks_of(self, path: str, staged: dict[str, JSON]) -> None:
        """Rename the staged chunks of an array, then write its document with their new names."""
        bytestore, document = self._nodes.bytestore, self._nodes.documents[path]
        node = array_node(document)
        final = dict(node.chunk_keys)
        obsolete = set(self._names(path, final))
        if not isinstance(bytestore, LocalByteStore):
            # A chunk that is lost on the way is then missing, and not replaced by an old chunk.
            bytestore.delete_many(f"{path}/{name}" for name in obsolete)
        for name in self._names(path, staged):
            at = coordinates_of(staged, name, len(node.shape))
            if at is not None:
                new = chunk_key(final, at)
                bytestore.copy(f"{path}/{name}", f"{path}/{new}")
                obsolete.discard(new)
        for name in obsolete:
            bytestore.delete(f"{path}/{name}")
        self._nodes.write_document(path, document)


def _has_none(encodings: Iterable[dict[str, JSON]], key: str) -> bool:
    return not any(has_form(encoding, key) for encoding in encodings)
