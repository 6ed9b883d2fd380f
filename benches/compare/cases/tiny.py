"""Models so small that what surrounds the arithmetic decides: one example at a time."""

from compare import models
from compare.cases.training import adam, step
from compare.registry import Group

tiny = Group("tiny")

MODELS = {
    "MLP 16-32-32-4 b1": lambda torch: models.mlp(torch, (16, 32, 32, 4), 1),
    "CNN 16x16 b1": lambda torch: models.tiny_cnn(torch, 1),
    "GPT d32 L2 T16 b1": lambda torch: models.gpt(torch, 32, 2, 2, 16, 1),
    "LSTM 8-16 T16 b1": lambda torch: models.recurrent(torch, "LSTM", 8, 16, 16, 1),
    "GRU 8-16 T16 b1": lambda torch: models.recurrent(torch, "GRU", 8, 16, 16, 1),
}


@tiny.case("{0}, inference", *MODELS)
def inference(torch, name):
    model, batch = MODELS[name](torch)
    model.eval()

    def run():
        with torch.no_grad():
            return model(batch[0])

    return run


@tiny.case("{0}, fwd+bwd", *MODELS)
def gradient(torch, name):
    model, batch = MODELS[name](torch)
    loss = models.classify(torch)

    def run():
        model.zero_grad()
        loss(model, *batch).backward()

    return run


@tiny.case("{0}, step Adam", *MODELS, variants=("fused",))
def training_step(torch, name, variant):
    return step(torch, MODELS[name](torch), adam, variant)
