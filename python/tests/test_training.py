"""The same programs with `torch` and with `rushlight`, from the same seed: the losses agree over 50 steps."""

import pytest
import rushlight

torch = pytest.importorskip("torch")

STEPS = 50


def mlp(torch):
    nn, F = torch.nn, torch.nn.functional
    model = nn.Sequential(nn.Linear(20, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 5))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
    x, y = torch.randn(256, 20), torch.randint(0, 5, (256,))
    for _ in range(STEPS):
        batch = torch.randperm(256)[:32]
        loss = F.cross_entropy(model(x[batch]), y[batch])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        yield loss.item()


def cnn(torch):
    nn, F = torch.nn, torch.nn.functional

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1 = nn.Conv2d(1, 8, 3, padding=1)
            self.bn = nn.BatchNorm2d(8)
            self.conv2 = nn.Conv2d(8, 16, 3, stride=2)
            self.fc = nn.Linear(16 * 3 * 3, 10)

        def forward(self, x):
            x = F.max_pool2d(F.relu(self.bn(self.conv1(x))), 2)
            return self.fc(torch.flatten(F.relu(self.conv2(x)), 1))

    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, nesterov=True)
    x = torch.rand(128, 1, 14, 14)
    y = x[:, 0, :10, :10].mean(1).argmax(1)  # something to learn: on noise, rounding errors grow without bound
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=16, shuffle=True)
    steps = 0
    while steps < STEPS:
        for images, labels in loader:
            loss = nn.CrossEntropyLoss(label_smoothing=0.05)(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            yield loss.item()
            steps += 1
            if steps == STEPS:
                return


def gpt(torch):
    nn, F = torch.nn, torch.nn.functional
    vocabulary, width, heads, length = 31, 32, 4, 16

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.proj = nn.Linear(width, 3 * width, bias=False), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x):
            b, t, c = x.shape
            q, k, v = (a.view(b, t, heads, c // heads).transpose(1, 2) for a in self.qkv(self.norm1(x)).split(c, dim=2))
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.proj(y.transpose(1, 2).contiguous().view(b, t, c))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self):
            super().__init__()
            self.wte, self.wpe = nn.Embedding(vocabulary, width), nn.Embedding(length, width)
            self.blocks = nn.ModuleList([Block() for _ in range(2)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
            self.head.weight = self.wte.weight

        def forward(self, tokens):
            x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

    model = GPT()
    for name, p in model.named_parameters():
        if name.endswith("proj.weight"):
            nn.init.normal_(p, mean=0.0, std=0.02)
    decay = [p for p in model.parameters() if p.dim() >= 2]
    rest = [p for p in model.parameters() if p.dim() < 2]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": rest, "weight_decay": 0.0}], lr=3e-3, betas=(0.9, 0.95))
    data = torch.randint(0, vocabulary, (1000,))
    for _ in range(STEPS):
        at = torch.randint(len(data) - length - 1, (8,))
        x = torch.stack([data[i : i + length] for i in at])
        y = torch.stack([data[i + 1 : i + length + 1] for i in at])
        loss = F.cross_entropy(model(x).view(-1, vocabulary), y.view(-1))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        yield loss.item()


@pytest.mark.parametrize("program", [mlp, cnn, gpt], ids=lambda p: p.__name__)
def test_same_losses(program):
    losses = []
    for package in (torch, rushlight):
        package.manual_seed(1234)
        losses.append(list(program(package)))
    theirs, ours = losses
    assert len(ours) == STEPS
    assert theirs[-1] < theirs[0]
    worst = max(abs(a - b) / abs(b) for a, b in zip(ours, theirs))
    print(f"{program.__name__}: losses from {theirs[0]:.4f} to {theirs[-1]:.4f}, apart by at most {worst:.1e}")
    assert worst < 1e-4
