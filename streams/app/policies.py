"""The policy and the scorecard that serve: the shipped ones, with what an operator lays over them."""

import tomllib
from pathlib import Path
from typing import Any, Final

from streams.app.new_trainer import SCORECARD, scorecard_for
from streams.core.alerts.policy import Policy, PolicyError, policy_from_layers
from streams.core.scoring.models import read_scorecard
from streams.core.scoring.scorer import Scorer
from streams.defaults import read_default
from streams.shared.errors import SettingsError

DATASET_FILE: Final = "forewarn.toml"
"""A file in an input folder whose `[policy]` table says what the data is: its horizon, its rhythm."""


def read_policy_for(input: str, policy_path: Path | None) -> Policy:  # noqa: A002 - the option's name
    """Return the default policy with the input folder's and then the given file laid over it.

    Raises:
        SettingsError: a file cannot be read, or makes no usable policy.
    """
    trees = [tomllib.loads(read_default("policy.toml"))]
    dataset = Path(input) / DATASET_FILE
    if input != "-" and dataset.is_file():
        trees.append(_tree(dataset).get("policy", {}))
    if policy_path is not None:
        tree = _tree(policy_path)
        trees.append(tree.get("policy", tree))
    try:
        return policy_from_layers(*trees)
    except PolicyError as error:
        raise SettingsError(str(error)) from error


def _tree(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"the policy file {path} cannot be used: {error}") from error


def whole_scorecard() -> Scorer:
    """Return the scorecard with all that was reviewed, whatever labels count."""
    return read_scorecard(read_default(SCORECARD))


def cold_scorer(policy: Policy, began: str | None = None) -> Scorer:
    """Return the scorecard that serves until a model has learned enough.

    What began with the whole one, whatever labels count, goes on with it: `began` is the version that it names.
    """
    if began is not None and (whole := whole_scorecard()).version == began:
        return whole
    return scorecard_for(policy).scorer()
