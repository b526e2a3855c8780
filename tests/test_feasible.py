"""What a job would refuse is refused before the first job, in one line that names the key."""

import pytest

from medcoreset.errors import UserError
from medcoreset.figures import ROWS
from medcoreset.study import configuration
from medcoreset.training.options import TrainingOptions
from tests.studies import TINY, write, write_experiment

EL2N = {"el2n": {"epochs": 1}}
DARK = {"protocols": ["dark"]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"networks": ["alexnet"]}, ["alexnet", "8 pixels", "15 pixels", "digits"]),
        ({"surrogate": {"network": "inception_v3"}}, ["inception_v3", "8 pixels"]),
        ({"datasets": ["digits+train=2000"]}, ["train=2,000", "1,077 images"]),
        ({"datasets": ["digits+train=5"]}, ["trains on 5", "10 classes"]),
        ({"datasets": ["digits+train=1070"]}, ["leaves out 7", "10 classes"]),
        ({"datasets": ["mnist+val=0.0001"]}, ["holds out 6", "10 classes"]),
        ({"datasets": ["mnist+val=0.99999"]}, ["trains on 1", "10 classes"]),
        ({"datasets": ["digits+train=100", "digits+train=0100"]}, ["datasets", "twice"]),
        ({"networks": ["lenet", "lenet+width=6"]}, ["networks", "'lenet+width=6' twice, as lenet"]),
        ({"rates": [0.0001], "protocols": ["floored"]}, ["rates: 0.0001", "digits", "no sample"]),
        ({"rates": [0.0001]}, ["rates: 0.0001", "1 sample", "at least 2"]),
        ({"rates": [0.1, 0.10]}, ["rates", "repeat", "0.1"]),
        ({"datasets": ["pathmnist"]} | DARK, ["channels", "pathmnist has 3"]),
        ({"datasets": ["imagenet"], "protocols": ["cropped"]}, ["crop_flip", "resized_crop_flip"]),
        ({"protocols": ["weighted"]}, ["random gives no weights", "weighted_loss", "where_given"]),
        (
            {"protocols": ["weighted"], "full": False, "methods": EL2N},
            ["methods.el2n gives no weights", "protocol weighted"],
        ),
        ({"protocols": ["resized"]}, ["resized_crop_flip", "in memory"]),
        ({"methods": {"full": {"method": "random"}}}, ["methods.full"]),
        ({"methods": {}}, ["no row"]),
        ({"seeds": []}, ["seeds is empty"]),
        ({"networks": [], "methods": EL2N}, ["nothing to make"]),
        ({"methods": EL2N, "surrogate": {"network": "lenet", "epochs": 0}}, ["el2n", "0"]),
        (
            {"methods": {"aum": {}}, "surrogate": {"network": "lenet", "epochs": 0}},
            ["methods.aum", "0 epochs"],
        ),
        (
            {
                "methods": {"tdds": {}},
                "datasets": ["cifar100"],
                "surrogate": {"network": "lenet", "epochs": 200},
            },
            ["methods.tdds", "1,800 MB of cifar100", "probs_budget_mb is 256"],
        ),
        ({"methods": {"aum": {"surrogate_epochs": [7]}}}, ["surrogate_epochs", "of 2 epochs"]),
        (
            {
                "methods": {"grand": {}},
                "surrogate": {"network": "lenet", "seeds": [2**63 - 1]},
            },
            ["surrogate.seeds", "methods.grand", "at most"],
        ),
        (
            {"methods": {"memorization": {}}},
            ["methods.memorization", "subset_correct", "the workflow does not make"],
        ),
        (
            {"methods": {"smi": {"query": "given"}}},
            ["methods.smi", "query_features", "the workflow does not make"],
        ),
        (
            {"methods": {"el2n": {"runs": 2, "at": 50}}},
            ["methods.el2n", "after epoch 50", "option at=50"],
        ),
        (
            {"methods": {"grand": {}}, "surrogate": {"network": "lenet", "seeds": [5, 2005]}},
            ["surrogate.seeds", "5 and 2005", "methods.grand"],
        ),
        ({"seeds": [1, 1001], "trainings": 2}, ["seeds: 1 and 1001", "trainings"]),
        ({"methods": {"glister": {}}, "datasets": ["cifar10+val=0"]}, ["glister", "validation"]),
        ({"figures": ["score_distribution"]}, ["score_distribution", "none that scores"]),
        ({"figures": ["gallery"]}, ["gallery", "none that scores"]),
        ({"figures": ["accuracy_over_rate"], "networks": []}, ["accuracy_over_rate", "table"]),
        ({"figures": ["window_overlap"]}, ["window_overlap", "length 10", "2 epochs"]),
        *[({"figures": [figure]}, [figure, ROWS[figure][0]]) for figure in ROWS],
    ],
)
def test_what_a_job_would_refuse_is_one_line(tmp_path, changes, words):
    folder = write_experiment(tmp_path, "small", **changes)
    for name, training in {
        "floored": {},
        "dark": {"channels": 1},
        "weighted": {"weighted_loss": True},
        "cropped": {"augmentation": "crop_flip"},
        "resized": {"augmentation": "resized_crop_flip"},
    }.items():
        content = TINY | {"training": TINY["training"] | training}
        if name == "floored":
            content["selection"] = {"rounding": "floor"}
        write(tmp_path, "protocols", name, content)
    study = configuration.load({"studies": [folder]})
    with pytest.raises(UserError) as mistake:
        _ = study.experiments["small"]
    message = str(mistake.value)
    assert message.startswith(f"{tmp_path}/experiments/small.yaml: ")
    assert "\n" not in message
    assert all(word in message for word in words), message


def test_own_images_that_a_network_does_not_take_are_known(tmp_path):
    own = {"slides": {"path": str(tmp_path), "image_size": 8}}
    folder = write_experiment(tmp_path, "small", datasets=["slides"], networks=["alexnet"])
    study = configuration.load({"studies": [folder], "datasets": own})
    with pytest.raises(UserError, match="alexnet takes 15 pixels or more"):
        _ = study.experiments["small"]


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", float("nan"), float("inf"), "1e999"])
@pytest.mark.parametrize("key", ["lr", "weight_decay", "momentum", "milestones"])
def test_a_training_option_is_finite(key, value):
    with pytest.raises(UserError, match=f"{key}: "):
        TrainingOptions.from_mapping({key: [value] if key == "milestones" else value})


def test_words_are_read_as_true_and_false():
    assert TrainingOptions.from_mapping({"nesterov": "no"}).nesterov is False
    assert TrainingOptions.from_mapping({"accumulate": "on"}).accumulate is True
