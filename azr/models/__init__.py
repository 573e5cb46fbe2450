"""Models: loading them by name, sampling from them, scoring with them, and the memory they take."""

from azr.models.loading import BUILT_IN, load_config, load_model, load_style, resolve

__all__ = ["BUILT_IN", "load_config", "load_model", "load_style", "resolve"]
