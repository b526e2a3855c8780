"""Options: defaults, conversion, messages, flags."""

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from medcoreset.commands.flags import training_flags
from medcoreset.errors import UserError
from medcoreset.reporting.rules import RULES, possible
from medcoreset.training.options import TrainingOptions, as_flags


def parsed(text: str) -> TrainingOptions:
    found = []

    @click.command()
    @training_flags
    def command(**training: object) -> None:
        found.append(TrainingOptions.from_mapping(training))

    result = CliRunner().invoke(command, text.split())
    assert result.exit_code == 0, result.output
    return found[0]


@given(
    options=st.builds(
        TrainingOptions,
        lr=st.floats(1e-3, 10),
        optimizer=st.sampled_from(["sgd", "adam"]),
        last_batch=st.sampled_from(["even", "drop", "keep"]),
        accumulate=st.booleans(),
        batch_size=st.integers(16, 512),
        channels=st.sampled_from([0, 1, 3]),
        schedule=st.sampled_from(["cosine", "multistep"]),
        milestones=st.lists(st.floats(0.1, 1), min_size=1, max_size=3).map(tuple),
    )
)
def test_flags_give_the_options_back(options):
    assert parsed(as_flags(options)) == options


def test_the_defaults_need_no_flag():
    assert as_flags(TrainingOptions()) == ""
    assert parsed("") == TrainingOptions()


def test_a_choice_that_yaml_reads_as_true_or_false_is_a_choice():
    for value, text in ((True, "true"), (False, "false"), ("where_given", "where_given")):
        assert TrainingOptions.from_mapping({"weighted_loss": value}).weighted_loss == text


def test_yaml_values_are_converted():
    options = TrainingOptions.from_mapping({"lr": "5e-2", "momentum": 0, "nesterov": False})
    assert (options.lr, options.momentum) == (0.05, 0.0)


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"learning_rate": 1}, "unknown option 'learning_rate'; known: optimizer, lr"),
        ({"optimizer": "lion"}, "optimizer: 'lion' is not one of sgd, adam"),
        ({"lr": "fast"}, "lr: 'fast' is not a number"),
        ({"lr": 0}, "lr: 0.0 must be above 0"),
        ({"epochs": 1.5}, "epochs: 1.5 is not an integer"),
        ({"epochs": -1}, "epochs: -1 must be at least 0"),
        ({"batch_size": 8}, "batch_size: 8 must be at least 16"),
        ({"last_batch": "lose"}, "last_batch: 'lose' is not one of even, drop, keep"),
        ({"weighted_loss": "yes"}, "weighted_loss: 'yes' is not one of false, true, where_given"),
        ({"accumulate": "maybe"}, "accumulate: 'maybe' is not true or false"),
        ({"milestones": [0.5, 1.5]}, "must be at most 1"),
        ({"schedule": "multistep"}, "milestones: schedule multistep needs"),
        ({"min_lr": 1}, "min_lr: 1.0 is above lr 0.1"),
        ({"momentum": 0}, "nesterov: true needs momentum"),
    ],
)
def test_a_mistake_names_key_value_and_what_is_allowed(mapping, message):
    with pytest.raises(UserError) as mistake:
        TrainingOptions.from_mapping(mapping)
    assert message in str(mistake.value)
    assert "\n" not in str(mistake.value)


def test_every_run_records_every_rule_that_its_data_allow():
    assert possible(has_val=True) == tuple(RULES)
    without_val = possible(has_val=False)
    assert set(without_val) >= {"clean", "deepcore"}
    assert not {"published", "best_val", "medmnist"} & set(without_val)
    assert RULES["published"].drop_incomplete == 512


def test_the_options_import_no_torch():
    code = "import sys, medcoreset.training.options; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
