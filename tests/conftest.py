"""What holds in every test: no display, no network, and no deadline that a busy machine could miss."""

import os

from hypothesis import settings

os.environ["MPLBACKEND"] = "Agg"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("OMP_NUM_THREADS", "1")  # pytest-xdist keeps every core busy already

settings.register_profile("azr", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("azr")
