"""How much memory and time `azr sparsity` takes, as ratios to the largest tensor and to reading the files.

    python benchmarks/sparsity.py                  # two checkpoints of 0.5 GB each, in bfloat16, sharded
    python benchmarks/sparsity.py --gigabytes 4 --trained float32

Makes the folders in a temporary place, compares them under all twelve definitions in a process of its own, and prints

    memory  the peak over what the process had before it began, by the bytes of the largest tensor of either folder
    time    of comparing, by that of reading the bytes of both folders; the files are in the page cache for both, so
            against a disk the ratio is smaller

Needs Linux or macOS. Left out: adapters, and weights on a GPU.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAYERS = 12
BYTES = {"bfloat16": 2, "float16": 2, "float32": 4}


def make(folder: Path, gigabytes: float, trained: str) -> None:
    """Write ``base`` (bfloat16) and ``trained``: a model in the proportions of a Llama, a fifth of it changed."""
    import torch
    from safetensors.torch import save_file

    width = int((gigabytes * 1e9 / BYTES["bfloat16"] / (LAYERS * 12 + 8)) ** 0.5) // 64 * 64
    shapes = {"attention": (4 * width, width), "gate_up": (5 * width, width), "down": (width, 3 * width)}
    generator = torch.Generator().manual_seed(0)
    shards = [("embed_tokens", (8 * width, width)), *(f"layers.{i}" for i in range(LAYERS))]
    maps: dict[str, dict[str, str]] = {"base": {}, "trained": {}}
    for number, shard in enumerate(shards):
        own = [shard] if isinstance(shard, tuple) else [(f"{shard}.{name}", shape) for name, shape in shapes.items()]
        base = {f"{n}.weight": 0.02 * torch.randn(s, generator=generator).bfloat16() for n, s in own}
        changed = {}
        for name, weight in base.items():
            moved = torch.rand(weight.shape, generator=generator) < 0.2
            changed[name] = (weight.float() * (1 + 0.02 * moved)).to(getattr(torch, trained))
        for side, tensors in (("base", base), ("trained", changed)):
            (folder / side).mkdir(exist_ok=True)
            file = f"model-{number:05}.safetensors"
            save_file(tensors, folder / side / file)
            maps[side] |= dict.fromkeys(tensors, file)
    for side, weight_map in maps.items():
        index = {"metadata": {}, "weight_map": weight_map}
        (folder / side / "model.safetensors.index.json").write_text(json.dumps(index))


def compare(folder: Path) -> None:
    """Print what comparing the two folders took, as JSON: seconds, bytes over the beginning, the largest tensor."""
    from azr.metrics.checkpoints import open_checkpoint
    from azr.metrics.sparsity import sparsity_matrix

    largest = max(
        tensor.nbytes for side in ("base", "trained") for tensor in open_checkpoint(folder / side).values()
    )  # which also warms up the reader
    before, began = _peak(), time.perf_counter()
    matrix = sparsity_matrix(folder / "base", folder / "trained")
    seconds = time.perf_counter() - began
    found = {"seconds": seconds, "extra": _peak() - before, "before": before, "largest": largest}
    print(json.dumps(found | {"parameters": int(matrix["parameters"].iloc[0])}))


def read(folder: Path) -> float:
    """Seconds to read all weights as plain bytes."""
    buffer, began = memoryview(bytearray(1 << 24)), time.perf_counter()
    for path in sorted(folder.glob("*/*.safetensors")):
        with path.open("rb", buffering=0) as file:
            while file.readinto(buffer):
                pass
    return time.perf_counter() - began


def _peak() -> int:
    """Largest resident size of this process so far, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Run the benchmark; making and comparing are processes of their own, so that neither's memory counts here."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=0.5, help="size of the base's weights (default: 0.5)")
    parser.add_argument("--trained", choices=BYTES, default="bfloat16", help="type of the trained weights")
    parser.add_argument("--part", choices=("make", "compare"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part == "make":
        make(args.folder, args.gigabytes, args.trained)
    elif args.part == "compare":
        compare(args.folder)
    else:
        with tempfile.TemporaryDirectory() as name:
            command = [sys.executable, __file__, *sys.argv[1:], "--folder", name, "--part"]
            subprocess.run([*command, "make"], check=True)
            done = subprocess.run([*command, "compare"], check=True, stdout=subprocess.PIPE, text=True)
            found = json.loads(done.stdout)
            reading = min(read(Path(name)) for _ in range(3))
        print(f"parameters         {found['parameters']:,}; largest tensor {found['largest'] / 1e6:.0f} MB")
        print(f"memory             {found['extra'] / found['largest']:.1f} times the largest tensor")
        print(f"                   ({found['before'] / 1e6:.0f} MB for the program itself not counted)")
        print(f"time               {found['seconds'] / reading:.1f} times reading both folders from the page cache")


if __name__ == "__main__":
    main()
