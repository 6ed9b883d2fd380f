"""Networks that several groups of cases share, and the training step around them.

Each function takes the library and returns a model and a batch: a tuple of the arguments of its loss.
"""


def training_step(torch, model, loss, batch, optimizer, variant):
    """A step as in any tutorial. `variant`: None, `fused` (PyTorch's fused optimizer), or `compile` (that, and the forward pass compiled)."""
    optimizer = optimizer(model.parameters(), **({"fused": True} if variant else {}))
    forward = torch.compile(loss) if variant == "compile" else loss

    def step():
        optimizer.zero_grad()
        forward(model, *batch).backward()
        optimizer.step()

    return step


def classify(torch):
    """The loss of a classifier: its cross entropy on (inputs, targets)."""
    return lambda model, x, y: torch.nn.functional.cross_entropy(model(x), y)


def mlp(torch, sizes, batch):
    layers = []
    for inputs, outputs in zip(sizes, sizes[1:]):
        layers += [torch.nn.Linear(inputs, outputs), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers[:-1])
    return model, (torch.randn(batch, sizes[0]), torch.randint(0, sizes[-1], (batch,)))


def lenet(torch, batch):
    """The network of PyTorch's MNIST example."""
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25), nn.Flatten(),
        nn.Linear(9216, 128), nn.ReLU(), nn.Dropout(0.5), nn.Linear(128, 10),
    )  # fmt: skip
    return model, (torch.randn(batch, 1, 28, 28), torch.randint(0, 10, (batch,)))


def tiny_cnn(torch, batch):
    nn = torch.nn
    model = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 10))
    return model, (torch.randn(batch, 1, 16, 16), torch.randint(0, 10, (batch,)))


def resnet8(torch, batch):
    """Three stages of one residual block for 32x32 images."""
    nn, F = torch.nn, torch.nn.functional

    class Block(nn.Module):
        def __init__(self, inputs, outputs, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outputs)
            same = inputs == outputs
            self.short = nn.Identity() if same else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

        def forward(self, x):
            return F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))) + self.short(x))

    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    stages = [Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2)]
    model = nn.Sequential(*stem, *stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return model, (torch.randn(batch, 3, 32, 32), torch.randint(0, 10, (batch,)))


def gpt(torch, width, heads, layers, block, batch, vocabulary=65):
    """A character-level language model, as nanoGPT builds it."""
    nn, F = torch.nn, torch.nn.functional

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x):
            b, t, _ = x.shape
            q, k, v = (p.view(b, t, heads, width // heads).transpose(1, 2) for p in self.qkv(self.ln1(x)).split(width, dim=2))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).contiguous().view(b, t, width))
            return x + self.down(F.gelu(self.up(self.ln2(x))))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.tokens, self.places = nn.Embedding(vocabulary, width), nn.Embedding(block, width)
            self.layers = nn.Sequential(*(Layer() for _ in range(layers)))
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)

        def forward(self, x):
            h = self.tokens(x) + self.places(torch.arange(x.shape[1]))
            return self.head(self.norm(self.layers(h))).flatten(0, 1)

    text = torch.randint(0, vocabulary, (batch, block + 1))
    return Model(), (text[:, :-1].contiguous(), text[:, 1:].flatten())


def recurrent(torch, kind, inputs, hidden, steps, batch):
    """An `LSTM` or `GRU` over a sequence, and a linear layer on its last output."""

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.cells = getattr(torch.nn, kind)(inputs, hidden, batch_first=True)
            self.head = torch.nn.Linear(hidden, 10)

        def forward(self, x):
            return self.head(self.cells(x)[0][:, -1])

    return Model(), (torch.randn(batch, steps, inputs), torch.randint(0, 10, (batch,)))
