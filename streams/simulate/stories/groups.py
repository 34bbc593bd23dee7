"""Households, dormitories, classes and companies as numbers in a column."""

import numpy as np

from streams.simulate.world import Floats, Ints


def numbered(key: Ints, first: int) -> Ints:
    """Number the groups of equal keys from `first` on; -1 stays alone.

    >>> numbered(np.array([7, -1, 3, 7]), 100).tolist()
    [101, -1, 100, 101]
    """
    names, place = np.unique(key, return_inverse=True)
    alone = int((names < 0).sum())
    return np.where(key < 0, -1, place - alone + first)


def share_by_group(group: Ints, mark: Floats) -> Floats:
    """Return for each member the share of the others of its group that is marked; 0 for those alone.

    >>> share_by_group(np.array([4, 4, 4, -1]), np.array([1.0, 0.0, 0.0, 1.0])).tolist()
    [0.0, 0.5, 0.5, 0.0]
    """
    _, place = np.unique(group, return_inverse=True)
    size = np.bincount(place)
    marked = np.bincount(place, weights=mark)
    share = (marked[place] - mark) / np.maximum(size[place] - 1, 1)
    return np.where(group >= 0, share, 0.0)
