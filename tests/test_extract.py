"""Evidence of models of other libraries, by the definition of features and logits."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

import medcoreset
from medcoreset import IndexedDataset, UserError, extract

N, V, C, SIZE = 10, 6, 3, 32


class Small(nn.Module):
    """A classifier with dropout and batch normalisation, which evaluation mode changes."""

    def __init__(self, classes: int = C) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.BatchNorm1d(5), nn.Dropout())
        self.fc = nn.Linear(5, classes)

    def forward(self, images):
        return self.fc(self.body(images))


def samples(count: int = N, shape: tuple[int, ...] = (3, 2, 2), seed: int = 0) -> TensorDataset:
    torch.manual_seed(seed)
    return TensorDataset(torch.randn(count, *shape), torch.arange(count) % C)


def torchvision_resnet50() -> tuple[nn.Module, str]:
    from torchvision.models import resnet50

    return resnet50(num_classes=C), "fc"


def timm_convnext() -> tuple[nn.Module, str]:
    import timm

    return timm.create_model("convnext_atto", num_classes=C), "head.fc"


def transformers_vit() -> tuple[nn.Module, str]:
    from transformers import ViTConfig, ViTForImageClassification

    about = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = ViTConfig(**about, intermediate_size=20, image_size=SIZE, patch_size=16, num_labels=C)
    return ViTForImageClassification(config), "classifier"


def transformers_resnet() -> tuple[nn.Module, str]:
    from transformers import ResNetConfig, ResNetForImageClassification

    about = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1], "layer_type": "basic"}
    return ResNetForImageClassification(ResNetConfig(**about, num_labels=C)), "classifier.1"


@pytest.mark.parametrize(
    "build", [torchvision_resnet50, timm_convnext, transformers_vit, transformers_resnet]
)
def test_features_and_logits_of_models_of_other_libraries(build, tmp_path):
    torch.manual_seed(1)
    model, head = build()
    data, val = samples(shape=(3, SIZE, SIZE)), samples(V, (3, SIZE, SIZE), seed=1)
    loader = DataLoader(IndexedDataset(data), 4, shuffle=True)
    folder = extract(
        model, loader, head=head, val_loader=DataLoader(val, 4), device="cpu", out=tmp_path / "x"
    )
    assert model.training

    found = {path.stem: np.load(path) for path in folder.glob("*.npy")}
    assert set(found) == {
        *("labels", "features", "logits", "val_labels", "val_features", "val_probs")
    }
    model.eval()
    with torch.no_grad():
        made = model(data.tensors[0])
        expected = getattr(made, "logits", made)
        val_made = model(val.tensors[0])
        val_expected = torch.softmax(getattr(val_made, "logits", val_made), 1)
        layer = model.get_submodule(head)
        from_features = layer(torch.from_numpy(found["features"]))
    np.testing.assert_allclose(found["logits"], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(from_features, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["val_probs"], val_expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found["labels"], data.tensors[1])
    assert found["val_features"].shape == (V, layer.in_features)


def test_methods_select_from_it(tmp_path):
    data = samples(40)
    extract(
        Small(), DataLoader(data, 8), val_loader=DataLoader(data, 8), device="cpu", out=tmp_path
    )
    evidence = medcoreset.Evidence.load(tmp_path)
    fitting = [
        name
        for name, method in medcoreset.methods().items()
        if method.selects and all(map(evidence.has, method.needed()))
    ]
    assert {"craig", "glister", "cal", "herding", "entropy", "smi"} <= set(fitting)
    for name in fitting:
        assert len(medcoreset.select(name, evidence, count=5).indices) == 5


def test_it_goes_beside_recorded_dynamics(tmp_path):
    data = samples()
    recorder = medcoreset.Recorder(tmp_path, data.tensors[1], C)
    recorder.record(torch.arange(N), torch.randn(N, C))
    recorder.end_epoch()
    extract(Small(), DataLoader(data, 4), device="cpu", out=tmp_path)
    evidence = medcoreset.Evidence.load(tmp_path)
    assert evidence.given("error_norm")
    assert evidence.given("features")
    with pytest.raises(UserError, match=r"labels.npy holds other labels"):
        extract(Small(), DataLoader(samples(N - 1), 4), device="cpu", out=tmp_path)


def test_a_model_is_left_as_it_was():
    model = Small()
    model.body[2].eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError, match="labels"):
        extract(model, DataLoader(TensorDataset(torch.randn(4, 12), torch.arange(4)), 2))
    assert [module.training for module in model.modules()].count(False) == 1
    assert not model.fc._forward_hooks
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


class Twice(Small):
    def forward(self, images):
        return self.fc(self.body(images)) + self.fc(self.body(images))


class Sequence(Small):
    def forward(self, images):
        return self.fc(self.body(images)[:, None].expand(-1, 7, -1))


class Unused(Small):
    def forward(self, images):
        return self.body(images)


def nothing(sample: int) -> TensorDataset:
    images, labels = samples().tensors
    images[sample] = torch.nan
    return TensorDataset(images, labels)


REFUSED = {
    "no such layer": (Small(), {"head": "classifier"}, "head is 'classifier', and the model has no such.* body.1, fc"),
    "no linear layer": (Small(), {"head": "body.2"}, "head is 'body.2', which is a BatchNorm1d: it is to be a linear"),
    "called twice": (Twice(), {}, r"head is 'fc', which got \(4, 5\), \(4, 5\) of a batch of 4, but"),
    "of a sequence": (Sequence(), {}, r"which got \(4, 7, 5\) of a batch of 4"),
    "never called": (Unused(), {}, "which got nothing of a batch of 4"),
    "shuffled": (Small(), {"loader": DataLoader(samples(), 4, shuffle=True)}, "loader shuffles or leaves out"),
    "last dropped": (Small(), {"loader": DataLoader(samples(), 4, drop_last=True)}, "loader shuffles or leaves out"),
    "own batches": (Small(), {"loader": DataLoader(samples(), batch_sampler=[[1, 0]])}, "loader shuffles or leaves out"),
    "a subset": (Small(), {"loader": DataLoader(Subset(IndexedDataset(samples()), [1, 5]), 2)}, "of 2 samples that are not each of 0 to 1 once"),
    "no labels": (Small(), {"loader": [torch.randn(4, 12)]}, "loader gives a Tensor that is not"),
    "soft labels": (Small(), {"loader": [(torch.randn(4, 12), torch.rand(4, C))]}, "with integer labels"),
    "no batch": (Small(), {"loader": []}, "loader gives no batch"),
    "labels": (Small(2), {}, r"labels\[2\] is 2, but it is to be from 0 to 1"),
    "NaN": (Small(), {"loader": DataLoader(nothing(3), 4)}, "logits of sample 3 are NaN"),
    "device": (Small(), {"device": "gpu"}, "device"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_a_mistake_is_one_line_and_leaves_nothing(tmp_path, what):
    model, how, named = REFUSED[what]
    given = {"loader": DataLoader(samples(), 4), "device": "cpu", "out": tmp_path / "x"} | how
    with pytest.raises(UserError, match=named):
        extract(model, **given)
    assert not (tmp_path / "x").exists()


def test_batches_may_be_mappings(tmp_path):
    """As of text, with more than one input of the model."""
    from transformers import BertConfig, BertForSequenceClassification

    about = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = BertConfig(**about, vocab_size=30, intermediate_size=16, num_labels=C)
    torch.manual_seed(0)
    model, words = BertForSequenceClassification(config), torch.randint(30, (N, 7))
    mask = (torch.arange(7) < torch.arange(1, N + 1)[:, None] % 7 + 1).long()
    rows = [{"input_ids": words[i], "attention_mask": mask[i], "labels": i % C} for i in range(N)]
    loader = DataLoader(IndexedDataset(rows), 4, shuffle=True)
    extract(model, loader, head="classifier", device="cpu", out=tmp_path)
    with torch.no_grad():
        expected = model.eval()(input_ids=words, attention_mask=mask).logits
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), np.arange(N) % C)
