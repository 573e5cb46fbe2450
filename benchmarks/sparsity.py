"""How much time and memory `azr sparsity` takes, beside reading the same files with two threads.

    python benchmarks/sparsity.py                        # two checkpoints in bfloat16, together 400 MB
    python benchmarks/sparsity.py --dtype float32 --megabytes 2000

Writes two sharded checkpoints with the proportions of a Llama to a temporary folder (a fifth of the weights of the
second is changed in bfloat16, all of them in float32) and prints, for reading and for comparing under all definitions,
wall and CPU seconds, the best of five, and the peak of memory over the program itself, in pairs of the largest tensor.
The files are in the page cache for both, so against a disk the ratios are kinder. Needs Linux or macOS. Left out:
adapters, whose merging is arithmetic.
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

LAYERS = 8
BLOCK = 1 << 24  # bytes read at once


def make(folder: Path, megabytes: int, dtype: str) -> int:
    """Write ``base`` and ``trained``; returns the bytes of the largest tensor's pair."""
    itemsize = 2 if dtype == "bfloat16" else 4
    width = int((megabytes * 1e6 / itemsize / 2 / (LAYERS * 12 + 8)) ** 0.5) // 64 * 64
    shapes = {"embed_tokens": (8 * width, width)}
    for i in range(LAYERS):
        shapes |= {f"layers.{i}.{name}": (rows * width, width) for name, rows in (("attn", 4), ("up", 5), ("down", 3))}
    rng = np.random.default_rng(0)
    for side in ("base", "trained"):
        (folder / side).mkdir()
    for name, shape in shapes.items():
        base = np.float32(0.02) * rng.standard_normal(shape, dtype=np.float32)
        if dtype == "bfloat16":
            base = (base.view(np.uint32) >> 16).astype(np.uint16)
            trained = base + (rng.random(shape, dtype=np.float32) < 0.2).astype(np.uint16)
        else:
            trained = base + np.float32(1e-5) * rng.standard_normal(shape, dtype=np.float32)
        for side, tensor in (("base", base), ("trained", trained)):
            entry = {"dtype": "BF16" if itemsize == 2 else "F32", "shape": shape, "data_offsets": [0, tensor.nbytes]}
            header = json.dumps({f"{name}.weight": entry}).encode()
            shard = len(header).to_bytes(8, "little") + header + tensor.tobytes()
            (folder / side / f"{name}.safetensors").write_bytes(shard)
    for side in ("base", "trained"):
        index = {"weight_map": {f"{name}.weight": f"{name}.safetensors" for name in shapes}}
        (folder / side / "model.safetensors.index.json").write_text(json.dumps(index))
    return 2 * 8 * width * width * itemsize


def read(folder: Path) -> None:
    """Read all weights as plain bytes with two threads."""

    def work(path: Path) -> None:
        buffer = memoryview(bytearray(BLOCK))
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(work, sorted(folder.glob("*/*.safetensors"))))


def seconds(work: Callable[[], object]) -> tuple[float, float]:
    """The least wall and CPU seconds of five calls."""
    times = []
    for _ in range(5):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    walls, cpus = zip(*times, strict=True)
    return min(walls), min(cpus)


def compare(folder: Path) -> tuple[float, float, int]:
    """Wall and CPU seconds of comparing, and by how many bytes the process grew; to be run in a fresh process."""
    from azr.metrics import update_sparsity

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    small = next(folder.glob("base/*down.safetensors"))
    update_sparsity(small, small)  # loads what is loaded once
    before = peak()
    wall, cpu = seconds(lambda: update_sparsity(folder / "base", folder / "trained"))
    return wall, cpu, peak() - before


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=400, help="of both checkpoints together (default: 400)")
    parser.add_argument("--dtype", choices=("bfloat16", "float32"), default="bfloat16")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        largest = make(Path(name), args.megabytes, args.dtype)
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            wall, cpu, grown = pool.submit(compare, Path(name)).result()
        read_wall, read_cpu = seconds(lambda: read(Path(name)))
    print(f"reading    {read_wall:.3f} s, {read_cpu:.3f} s of CPU")
    print(f"comparing  {wall:.3f} s, {cpu:.3f} s of CPU")
    print(f"speed      {read_wall / wall:.2f} of reading by the clock, {read_cpu / cpu:.2f} by CPU")
    print(f"memory     {grown / largest:.2f} times the largest pair of tensors ({largest / 1e6:.0f} MB)")


if __name__ == "__main__":
    main()
