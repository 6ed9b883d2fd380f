"""Trains a network of nine units to compute the exclusive or, the smallest task that one layer cannot solve.

    python examples/xor.py
    python examples/xor.py --steps 2000 --lr 0.02
"""

import rushlight as torch
from support import options, progress, save_lines

nn = torch.nn


def main():
    parser = options(__doc__.splitlines()[0], out="xor-out")
    parser.add_argument("--steps", type=int, default=500, help="steps of training")
    parser.add_argument("--lr", type=float, default=0.05, help="learning rate")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    steps = 20 if args.quick else args.steps

    torch.manual_seed(args.seed)
    x = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    y = torch.tensor([[0.0], [1.0], [1.0], [0.0]])
    model = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)

    losses, show = [], progress(steps)
    for step in range(steps):
        loss = nn.functional.binary_cross_entropy_with_logits(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        show(step + 1, f"loss {losses[-1]:.4f}")

    with torch.no_grad():
        answers = torch.sigmoid(model(x))
    for (a, b), answer in zip(x.tolist(), answers.flatten().tolist()):
        print(f"{a:.0f} xor {b:.0f} = {answer:.3f}")
    save_lines(args.out / "loss.svg", "exclusive or: loss", {"binary cross-entropy": losses})
    right = ((answers > 0.5) == (y > 0.5)).sum().item()
    print(f"{right} of 4 right; results in {args.out}")


if __name__ == "__main__":
    main()
