"""Measure levels of the default codec on what NWB files are made of.

Prints, for an ``int16`` recording and for ``float64`` timestamps, the compression ratio and the speed
of encoding and decoding one chunk of about 4 MB, the latter two as ratios of medians to level 1 with
byte shuffle, measured interleaved in one run.

Usage: python benchmarks/codec_level.py
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numcodecs
import numpy as np

REPEATS = 7
SETTINGS = [
    (cname, level, shuffle)
    for cname, levels in (("lz4", (5,)), ("zstd", (1, 3, 5, 7, 9)))
    for level in levels
    for shuffle in (numcodecs.Blosc.SHUFFLE, numcodecs.Blosc.BITSHUFFLE)
]
BASELINE = ("zstd", 1, numcodecs.Blosc.SHUFFLE)


def recording(n_samples: int = 5461, n_channels: int = 384) -> np.ndarray:
    """Simulate an extracellular recording: correlated noise of some 10 counts, and spikes."""
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 12, (n_samples + 8, n_channels))
    smooth = sum(noise[shift : shift + n_samples] for shift in range(4)) / 2
    common = generator.normal(0, 8, (n_samples, 1))
    slow = 40 * np.sin(np.arange(n_samples)[:, None] / 3000 + generator.uniform(0, 6, n_channels))
    data = smooth + common + slow
    spike = -np.hanning(40) * 120
    for _ in range(n_samples // 10):
        start, channel = generator.integers(n_samples - 40), generator.integers(n_channels)
        data[start : start + 40, channel] += spike
    return data.astype(np.int16)


def timestamps(n_samples: int = 524_288) -> np.ndarray:
    """Simulate the clock of an acquisition system: 30 kHz with a drift and a jitter of 0.1 us."""
    generator = np.random.default_rng(1)
    return 100.0 + np.arange(n_samples) / 30_000 * (1 + 3e-6) + generator.normal(0, 1e-7, n_samples)


def main() -> None:
    """Print a table for each kind of data."""
    numcodecs.blosc.set_nthreads(1)
    for name, data in (("int16 recording", recording()), ("float64 timestamps", timestamps())):
        times: dict[tuple[str, int, int], tuple[list[float], list[float]]] = {}
        ratios = {}
        for _ in range(REPEATS):
            for setting in SETTINGS:
                cname, level, shuffle = setting
                codec = numcodecs.Blosc(cname=cname, clevel=level, shuffle=shuffle)
                encode_time, encoded = _timed(lambda codec=codec, data=data: codec.encode(data))
                decode_time, _ = _timed(lambda codec=codec, encoded=encoded: codec.decode(encoded))
                entry = times.setdefault(setting, ([], []))
                entry[0].append(encode_time)
                entry[1].append(decode_time)
                ratios[setting] = data.nbytes / len(encoded)
        print(f"\n{name}, {data.nbytes / 1e6:.1f} MB\n")
        print("| codec | level | shuffle | ratio | encoding time | decoding time |")
        print("| --- | --- | --- | --- | --- | --- |")
        base = [statistics.median(entry) for entry in times[BASELINE]]
        for setting, (encode, decode) in times.items():
            cname, level, shuffle = setting
            kind = "byte" if shuffle == numcodecs.Blosc.SHUFFLE else "bit"
            print(
                f"| {cname} | {level} | {kind} | {ratios[setting]:.3f} "
                f"| {statistics.median(encode) / base[0]:.2f} "
                f"| {statistics.median(decode) / base[1]:.2f} |"
            )


def _timed(function: Callable[[], object]) -> tuple[float, object]:
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    main()
