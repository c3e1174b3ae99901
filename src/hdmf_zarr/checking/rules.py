"""Every kind of finding: its stable code, its severity, and what to do."""

from __future__ import annotations

from hdmf_zarr.checking.report import Kind

# -- metadata --------------------------------------------------------------------------------------

BROKEN_DOCUMENT = Kind(
    "broken-document",
    "error",
    "Bring the file back from a copy of the store; what it describes cannot be read without it.",
)
BROKEN_ARRAY = Kind(
    "broken-array",
    "error",
    "Bring the metadata of the array back from a copy of the store. If a codec is not known, install "
    "the package that has it.",
)
BROKEN_ATTRIBUTE = Kind(
    "broken-attribute", "error", "Bring the metadata of the node back from a copy of the store."
)
UNFINISHED = Kind(
    "unfinished-write",
    "error",
    "The write of this store did not finish: write it again from its source.",
)
UNFINISHED_APPEND = Kind(
    "unfinished-append",
    "note",
    "Readers see the store as it was before. If no writer is active, the next writer, or 'hdmf-zarr check "
    "--repair', removes what was left; then append again.",
)
CHANGED_MEANWHILE = Kind(
    "changed-meanwhile", "error", "Check the store again when nobody is writing to it."
)
MISSING_GROUP = Kind(
    "missing-group",
    "warning",
    "Bring the metadata of the group back; without them its attributes and links are lost.",
)
NODE_IN_ARRAY = Kind(
    "node-in-array", "warning", "An array holds no nodes: move what is there, or remove it."
)
CONSOLIDATED_DIFFERS = Kind(
    "consolidated-metadata-differ",
    "error",
    "Readers see the consolidated metadata. If those of the nodes are right, run 'hdmf-zarr check "
    "--repair'.",
)
SPECIFICATIONS_NOT_CONSOLIDATED = Kind(
    "specifications-not-consolidated",
    "note",
    "Releases up to 0.6 wrote them so, and they are found all the same; 'hdmf-zarr check --repair' "
    "adds them.",
)
BROKEN_CONSOLIDATED = Kind(
    "broken-consolidated-metadata", "error", "Run 'hdmf-zarr check --repair' to rebuild them."
)
NOT_CONSOLIDATED = Kind(
    "not-consolidated",
    "note",
    "The store opens slowly over a network; 'hdmf-zarr check --repair' consolidates its metadata.",
)
NOT_LISTED = Kind(
    "not-listed",
    "note",
    "The store cannot list its objects (plain HTTP), so stray objects are not seen; check it where it "
    "can be listed.",
)
DIMENSION_NAMES = Kind(
    "dimension-names",
    "warning",
    "The names do not fit the dimensions of the array: write the file anew.",
)
BEYOND_LIMITS = Kind(
    "beyond-limits",
    "error",
    "Readers refuse this to protect themselves; the file is damaged, or must be written otherwise.",
)

# -- names and keys --------------------------------------------------------------------------------

UNSAFE_NAME = Kind(
    "unsafe-name",
    "error",
    "No reader should use this object: it is left out. Do not trust the file.",
)
NOT_PORTABLE_NAME = Kind(
    "not-portable-name",
    "warning",
    "Not every system can keep this name: rename the object where the file is made.",
)
NAMES_DIFFER_IN_CASE = Kind(
    "names-differ-in-case",
    "warning",
    "On Windows and macOS one of the two replaces the other: rename one where the file is made.",
)
LEFTOVER = Kind(
    "leftover",
    "warning",
    "A write that was stopped left it behind; 'hdmf-zarr check --repair' removes it.",
)
UNKNOWN_KEY = Kind(
    "unknown-key",
    "warning",
    "No reader uses it. Nothing removes it unasked: look at it, then remove it if it is not needed.",
)

NOT_REPAIRED = Kind(
    "not-repaired", "warning", "See to the reason, then run 'hdmf-zarr check --repair' again."
)

# -- chunks ----------------------------------------------------------------------------------------

MISSING_CHUNK = Kind(
    "missing-chunk",
    "error",
    "Bring the chunk back from a copy of the store. If it held nothing but fill values, which zarr-python "
    "leaves out when it writes to a store, 'hdmf-zarr check --accept-missing ARRAY' writes them.",
)
ABSENT_CHUNKS = Kind(
    "absent-chunks",
    "note",
    "Nothing, where the file is whole otherwise: they were never written, or zarr-python has left out "
    "what holds only the fill value.",
)
BROKEN_CHUNK = Kind(
    "broken-chunk",
    "error",
    "Bring the chunk back from a copy of the store; reading its elements is an error, or wrong.",
)
UNREADABLE_OBJECT = Kind(
    "unreadable-object",
    "error",
    "The store could not give it: look at the permissions and at the disk or network, then check again.",
)
STALE_CHUNK = Kind(
    "stale-chunk",
    "warning",
    "No reader uses it: it lies outside of the shape, or has a name of another form. 'hdmf-zarr check "
    "--repair' removes it where the array has all of its chunks, and its metadata are the same everywhere.",
)

# -- links, references, specifications -------------------------------------------------------------

BROKEN_LINK = Kind(
    "broken-link", "error", "Bring the target back, or remove the link; readers leave it out."
)
BROKEN_REFERENCE = Kind(
    "broken-reference", "error", "Bring the target back, or correct the reference where it is made."
)
WRONG_TARGET = Kind(
    "wrong-target",
    "error",
    "It leads to another object than it should: correct it where it is made.",
)
OBJECT_FOR_LINK = Kind(
    "object-for-link",
    "error",
    "Readers look for a link there and do not open the file, or leave the object out: convert the source "
    "of the file again, or put the object elsewhere and a link to it here.",
)
MISSING_STORE = Kind(
    "missing-store",
    "error",
    "Bring the other store to its place; both stores must be moved together.",
)
NOT_CACHED = Kind(
    "namespace-not-cached",
    "warning",
    "The file can be read only where the extension is installed: write it with cache_spec=True.",
)
BROKEN_SPECIFICATION = Kind(
    "broken-specification",
    "error",
    "The cached specifications do not load: export the file with the extension installed.",
)

DECLARED_ELSEWHERE = Kind(
    "namespace-without-sources",
    "warning",
    "MatNWB caches documents that declare a second namespace. HDMF and pynwb read the file; a reader that "
    "loads every namespace may not. To have it cached, write the file anew with pynwb and cache_spec=True.",
)

UNEVEN_TABLE = Kind(
    "uneven-table",
    "error",
    "Readers use the rows that all columns have. Look at the columns; 'hdmf-zarr check --repair' removes "
    "the other rows.",
)

SHORT_COLUMN = Kind(
    "short-column",
    "warning",
    "No row has all the elements that the index of a ragged column gives it, which readers do not notice: "
    "compare the column with its source.",
)

# -- the DANDI archive -----------------------------------------------------------------------------

DANDI_NAME = Kind("dandi-name", "error", "Rename the store: the archive takes '.nwb.zarr'.")
DANDI_FILES = Kind(
    "dandi-many-files",
    "warning",
    "Write it with larger chunks or with shards: each file is an upload of its own.",
)
DANDI_LARGE_FILE = Kind(
    "dandi-large-file",
    "error",
    "The archive takes files of at most 5 TB: use smaller chunks or shards.",
)
DANDI_DEPTH = Kind(
    "dandi-depth",
    "error",
    "The archive's tools take paths of at most seven parts: export with 'hdmf-zarr convert', whose "
    "chunks are one part, or nest less.",
)
DANDI_LINK = Kind(
    "dandi-external-link",
    "error",
    "The archive holds one store an asset: export the file, which copies what it links to.",
)
DANDI_NOT_LOCAL = Kind(
    "dandi-not-local", "error", "Only a folder of this machine can be uploaded; check that one."
)
DANDI_SYMLINK = Kind(
    "dandi-symbolic-link", "error", "Put the file itself in the place of the symbolic link."
)
DANDI_NO_DANDISET = Kind(
    "dandi-no-dandiset",
    "warning",
    "Move the store into the folder of its dandiset (dandi download --download dandiset.yaml).",
)
DANDI_CANNOT_OPEN = Kind(
    "dandi-cannot-open",
    "error",
    "The archive's readers open no part of it: 'hdmf-zarr check --dandi --repair' keeps apart what they "
    "cannot open, as 'hdmf-zarr convert --dandi' and dandi=True do.",
)
DANDI_EMPTY = Kind("dandi-empty-group", "error", "The archive takes no store in which nothing is.")
DANDI_ZARR_JSON = Kind(
    "dandi-zarr-json",
    "error",
    "Write the document anew, or restore it from a copy of the store.",
)
DANDI_TENSORSTORE = Kind(
    "dandi-tensorstore",
    "error",
    "The archive opens every array of Zarr format 3 with TensorStore: write NWB in format 2, with "
    "'hdmf-zarr convert --dandi' or dandi=True.",
)
DANDI_VALIDATE = Kind("dandi-validate", "error", "Do as 'dandi validate' says.")
DANDI_PROGRAM = Kind(
    "dandi-program",
    "warning",
    "Run 'dandi validate' on the store yourself; here its rules have been applied without it.",
)
DANDI_HIDDEN = Kind(
    "dandi-apart",
    "note",
    "hdmf-zarr reads them. Other readers see the rest of the store, as the archive wants it.",
)
DANDI_INSPECTOR = Kind(
    "nwbinspector",
    "error",
    "Correct the file as nwbinspector says; the archive refuses it otherwise.",
)
OTHER_READERS = Kind(
    "other-readers",
    "note",
    "Python reads it. What to do for the readers that are named follows from the finding.",
)

ALL = {kind.code: kind for kind in list(globals().values()) if isinstance(kind, Kind)}
"""Every kind of finding, by its code."""
