"""A dataset that workers write: each is its own, and does nothing until somebody says what."""

from __future__ import annotations

from hdmf_zarr.write.parallel.feed import Feed


def test_a_feed_has_nothing_to_do_by_default() -> None:
    feed = Feed(name="x")
    assert (feed.iterator, feed.n_bytes, feed.tasks, feed.step) == (None, None, None, None)
    assert feed.n_running == 0
    feed.begin()
    feed.progress(3)


def test_feeds_of_one_name_are_two() -> None:
    one, other = Feed(name="x"), Feed(name="x")
    assert one != other
    assert len({one: 1, other: 2}) == 2


def test_what_runs_is_counted_for_each_feed() -> None:
    one, other = Feed(name="x"), Feed(name="x")
    one.n_running += 1
    assert (one.n_running, other.n_running) == (1, 0)
