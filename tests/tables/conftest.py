import pandas as pd
import pytest

from tests.tables.synthetic import synthetic_study


@pytest.fixture(scope="session")
def study() -> dict[str, pd.DataFrame]:
    """Three seeds of one model, with effects."""
    return synthetic_study(seeds=3, problems=24, samples=32, models=("nano",))


@pytest.fixture(scope="session")
def untouched() -> dict[str, pd.DataFrame]:
    """The same study in which training did nothing."""
    return synthetic_study(seeds=3, problems=24, samples=32, models=("nano",), effect=0.0)
