"""How many elements of a tensor training left unchanged: one loop over both, which numba compiles to machine code.

NumPy and torch would go over the numbers a dozen times, once an operation; this loop takes as long as reading them.
Its compiled form is kept beside this file where that may be written; elsewhere each process compiles it anew.
"""

import os

import numba
import numpy as np
import torch

_CLOSE, _BELOW_THRESHOLD = np.float32(1e-5), np.nextafter(np.float32(1 / 256), np.float32(0))
_PART = 2**14
"""Elements whose sums are taken in single precision, where their counts are exact."""


def count_unchanged(base: torch.Tensor, trained: torch.Tensor) -> np.ndarray:
    """[7], elements unchanged by each of ``DEFINITIONS``, in its order; squares of the change and of the base, summed.

    Arguments: one-dimensional, of any floating types. Python's lock is free while it counts.
    """
    if base.dtype == trained.dtype == torch.bfloat16:
        counts = _both_bfloat16(base.view(torch.uint16).numpy(), trained.view(torch.uint16).numpy())
        return counts[[0, 1, 0, 0, 1, 2, 3]]
    return _both_float32(base.float().numpy(), trained.float().numpy())


@numba.njit
def _rounded(x: np.float32) -> np.float32:
    """x rounded to bfloat16; a tie goes to the even one."""
    bits = np.float32(x).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return np.uint32((bits + np.uint32(0x7FFF) + odd) & np.uint32(0xFFFF0000)).view(np.float32)


# Sums may be taken in any order, and counts are of the numbers' type: so the processor takes eight elements at a time.
@numba.njit(nogil=True, cache=os.access(__file__, os.W_OK), fastmath={"reassoc", "contract"})
def _both_bfloat16(base: np.ndarray, trained: np.ndarray) -> np.ndarray:
    counts = np.zeros(4)
    for start in range(0, len(base), _PART):
        exact = close = squares = base_squares = np.float32(0)
        for i in range(start, min(start + _PART, len(base))):
            x = np.uint32(np.uint32(base[i]) << np.uint32(16)).view(np.float32)  # the upper half of a float32
            y = np.uint32(np.uint32(trained[i]) << np.uint32(16)).view(np.float32)
            change = abs(y - x)
            exact += np.float32(change == 0)
            close += np.float32(change <= _CLOSE)
            squares += change * change
            base_squares += x * x
        counts += np.array([exact, close, squares, base_squares])
    return counts


@numba.njit(nogil=True, cache=os.access(__file__, os.W_OK), fastmath={"reassoc", "contract"})
def _both_float32(base: np.ndarray, trained: np.ndarray) -> np.ndarray:
    counts = np.zeros(7)
    for start in range(0, len(base), _PART):
        exact = close = relative = rounded_exact = rounded_close = squares = base_squares = np.float32(0)
        for i in range(start, min(start + _PART, len(base))):
            x, y = base[i], trained[i]
            change = abs(y - x)
            exact += np.float32(change == 0)
            close += np.float32(change <= _CLOSE)
            relative += np.float32(change <= abs(x) * _BELOW_THRESHOLD)
            squares += change * change
            base_squares += x * x
            change = abs(_rounded(y) - _rounded(x))
            rounded_exact += np.float32(change == 0)
            rounded_close += np.float32(change <= _CLOSE)
        counts += np.array([exact, close, relative, rounded_exact, rounded_close, squares, base_squares])
    return counts
