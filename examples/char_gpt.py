"""Trains a small GPT on the characters of a text, and writes more of it.

    python examples/char_gpt.py
    python examples/char_gpt.py --text shakespeare.txt --steps 5000 --out runs/shakespeare

Without --text it reads this library's own sources. The architecture is GPT-2's (Radford et al., 2019); the size, 0.8 million
parameters, suits a CPU.
"""

import math
from pathlib import Path

import rushlight as torch
from support import ROOT, options, progress, save_lines

nn, F = torch.nn, torch.nn.functional


class Attention(nn.Module):
    """Causal self-attention with `heads` heads: `[n, t, width]` to the same shape."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.heads, self.p = heads, dropout
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x):
        n, t, width = x.shape
        q, k, v = (part.view(n, t, self.heads, -1).transpose(1, 2) for part in self.qkv(x).chunk(3, dim=-1))
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=self.p if self.training else 0.0, is_causal=True)
        return self.dropout(self.out(y.transpose(1, 2).reshape(n, t, width)))


class Block(nn.Module):
    """Attention, then a network of two layers at each position, each around a residual connection."""

    def __init__(self, width, heads, dropout):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(dropout))

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class GPT(nn.Module):
    """Characters `[n, t]`, as numbers, to the scores of the next ones `[n, t, characters]`."""

    def __init__(self, characters, context, width, heads, layers, dropout):
        super().__init__()
        self.context = context
        self.token = nn.Embedding(characters, width)
        self.position = nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[Block(width, heads, dropout) for _ in range(layers)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, characters, bias=False)
        self.head.weight = self.token.weight
        for name, parameter in self.named_parameters():
            if parameter.dim() == 2:
                # Each layer adds twice to the residual stream; what it adds is kept small.
                residual = name.endswith(("attention.out.weight", "mlp.2.weight"))
                nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if residual else 0.02)

    def forward(self, tokens):
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.blocks(x)))

    @torch.no_grad()
    def write(self, tokens, count, temperature, top_k):
        """Appends `count` characters, each drawn from the `top_k` likeliest."""
        self.eval()
        for _ in range(count):
            scores = self(tokens[:, -self.context :])[:, -1] / temperature
            best, index = scores.topk(min(top_k, scores.shape[-1]))
            choice = torch.multinomial(best.softmax(-1), 1)
            tokens = torch.cat([tokens, index.gather(1, choice)], 1)
        return tokens


def parse():
    parser = options(__doc__.splitlines()[0], out="char-gpt-out")
    parser.add_argument("--text", type=Path, metavar="FILE", help="what to learn from; without it, the sources of the library")
    parser.add_argument("--steps", type=int, default=2000, help="steps of training")
    parser.add_argument("--batch-size", type=int, default=12, help="sequences per step")
    parser.add_argument("--lr", type=float, default=0.001, help="peak learning rate")
    parser.add_argument("--context", type=int, default=64, help="characters that the model sees")
    parser.add_argument("--width", type=int, default=128, help="numbers for each character")
    parser.add_argument("--heads", type=int, default=4, help="heads of attention")
    parser.add_argument("--layers", type=int, default=4, help="blocks")
    parser.add_argument("--dropout", type=float, default=0.0, help="probability of dropping a number")
    parser.add_argument("--write", type=int, default=500, metavar="COUNT", help="characters to write in the end")
    parser.add_argument("--temperature", type=float, default=0.8, help="below 1: likelier text, above 1: wilder text")
    parser.add_argument("--top-k", type=int, default=40, help="draw among this many likeliest characters")
    return parser.parse_args()


def main():
    args = parse()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.quick:
        args.steps, args.width, args.layers, args.write = 5, 32, 2, 20

    text = args.text.read_text(encoding="utf-8") if args.text else sources()
    alphabet = sorted(set(text))
    number = {character: i for i, character in enumerate(alphabet)}
    tokens = torch.tensor([number[character] for character in text])
    train, test = tokens[: int(0.9 * len(tokens))], tokens[int(0.9 * len(tokens)) :]
    if len(test) <= args.context:
        raise SystemExit(f"the text has {len(text)} characters; a context of {args.context} needs more than {10 * args.context}")

    torch.manual_seed(args.seed)
    model = GPT(len(alphabet), args.context, args.width, args.heads, args.layers, args.dropout)
    print(f"{len(text):,} characters, {len(alphabet)} different ones; {sum(p.numel() for p in model.parameters()):,} parameters")
    # Weight decay is for matrices; gains and biases are left alone.
    matrices = [p for p in model.parameters() if p.dim() >= 2]
    vectors = [p for p in model.parameters() if p.dim() < 2]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=args.lr, betas=(0.9, 0.99))
    warmup = max(1, args.steps // 20)
    rate = lambda step: min((step + 1) / warmup, 0.1 + 0.45 * (1 + math.cos(math.pi * min(1, step / args.steps))))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)

    losses, tests, show = [], [], progress(args.steps)
    for step in range(args.steps):
        if step % max(1, args.steps // 20) == 0:
            tests.append((step, evaluate(model, test, args)))
        model.train()
        x, y = batch(train, args)
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        show(step + 1, f"loss {losses[-1]:.3f}, test {tests[-1][1]:.3f}")
    tests.append((args.steps, evaluate(model, test, args)))

    args.out.mkdir(parents=True, exist_ok=True)
    torch.save({"model": model.state_dict(), "alphabet": alphabet}, args.out / "model.pt")
    save_lines(args.out / "loss.svg", "cross-entropy of the next character", {"training": losses, "test": tests})
    written = model.write(test[None, : args.context], args.write, args.temperature, args.top_k)[0].tolist()
    print("".join(alphabet[i] for i in written[: args.context]), "".join(alphabet[i] for i in written[args.context :]), sep="|")
    print(f"test loss {tests[-1][1]:.3f} nats per character; results in {args.out}")


def batch(tokens, args):
    """Sequences drawn at random, `[batch, context]`, and the same moved on by one character."""
    start = torch.randint(len(tokens) - args.context, (args.batch_size,))
    index = start[:, None] + torch.arange(args.context)
    return tokens[index], tokens[index + 1]


@torch.no_grad()
def evaluate(model, tokens, args, batches=8):
    """The loss of some sequences that training does not see; the drawing of training batches is not disturbed."""
    state = torch.get_rng_state()
    torch.manual_seed(1)
    model.eval()
    total = 0.0
    for _ in range(batches):
        x, y = batch(tokens, args)
        total += F.cross_entropy(model(x).flatten(0, 1), y.flatten()).item()
    torch.set_rng_state(state)
    return total / batches


def sources():
    """The Rust sources of the library, one after the other."""
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(ROOT.glob("crates/*/src/**/*.rs")))


if __name__ == "__main__":
    main()
