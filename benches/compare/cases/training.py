"""Whole training steps: zero_grad, forward, loss, backward, optimizer."""

from compare import models
from compare.registry import Group

training = Group("training")
VARIANTS = ("fused", "compile")


def adam(torch):
    return lambda parameters, **kw: torch.optim.Adam(parameters, lr=1e-3, **kw)


def adamw(torch):
    return lambda parameters, **kw: torch.optim.AdamW(parameters, lr=1e-3, **kw)


def momentum(torch):
    return lambda parameters, **kw: torch.optim.SGD(parameters, lr=1e-2, momentum=0.9, **kw)


def step(torch, made, optimizer, variant):
    model, batch = made
    return models.training_step(torch, model, models.classify(torch), batch, optimizer(torch), variant)


@training.case("MLP 16-32-32-4 b32 Adam", variants=VARIANTS)
def tiny_mlp(torch, variant):
    return step(torch, models.mlp(torch, (16, 32, 32, 4), 32), adam, variant)


@training.case("MLP 784-128-10 b64 SGD momentum", variants=VARIANTS)
def small_mlp(torch, variant):
    return step(torch, models.mlp(torch, (784, 128, 10), 64), momentum, variant)


@training.case("MLP 784-256-128-10 b128 Adam", variants=VARIANTS)
def medium_mlp(torch, variant):
    return step(torch, models.mlp(torch, (784, 256, 128, 10), 128), adam, variant)


@training.case("MLP 784-1024-1024-10 b128 AdamW", variants=VARIANTS)
def large_mlp(torch, variant):
    return step(torch, models.mlp(torch, (784, 1024, 1024, 10), 128), adamw, variant)


@training.case("CNN of the MNIST example b64 AdamW", variants=VARIANTS)
def cnn(torch, variant):
    return step(torch, models.lenet(torch, 64), adamw, variant)


@training.case("ResNet-8 32x32 b32 SGD momentum", variants=VARIANTS)
def resnet(torch, variant):
    return step(torch, models.resnet8(torch, 32), momentum, variant)


@training.case("GPT d256 L4 H4 T128 b8 AdamW", variants=VARIANTS)
def gpt(torch, variant):
    return step(torch, models.gpt(torch, 256, 4, 4, 128, 8), adamw, variant)


@training.case("GPT d64 L2 H2 T32 b4 AdamW", variants=VARIANTS)
def tiny_gpt(torch, variant):
    return step(torch, models.gpt(torch, 64, 2, 2, 32, 4), adamw, variant)


@training.case("{0} 64-128 T64 b32 Adam", "LSTM", "GRU", variants=VARIANTS)
def recurrent(torch, kind, variant):
    return step(torch, models.recurrent(torch, kind, 64, 128, 64, 32), adam, variant)
