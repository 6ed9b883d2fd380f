"""Trains an LSTM to continue sine waves, and lets it go on by itself.

    python examples/lstm_sine.py
    python examples/lstm_sine.py --steps 1000 --hidden 64
"""

import math

import rushlight as torch
from support import options, progress, save_lines

nn = torch.nn
LENGTH, PERIOD, SHOWN = 160, 25, 80


class Continue(nn.Module):
    """Waves `[n, length]` to the predicted next values `[n, length + future]`; the predictions are the input of the `future` steps."""

    def __init__(self, hidden):
        super().__init__()
        self.lstm = nn.LSTM(1, hidden, num_layers=2, batch_first=True)
        self.head = nn.Linear(hidden, 1)

    def forward(self, x, future=0):
        h, state = self.lstm(x.unsqueeze(-1))
        values = [self.head(h)]
        for _ in range(future):
            h, state = self.lstm(values[-1][:, -1:], state)
            values.append(self.head(h))
        return torch.cat(values, 1).squeeze(-1)


def main():
    parser = options(__doc__.splitlines()[0], out="lstm-sine-out")
    parser.add_argument("--steps", type=int, default=300, help="steps of training")
    parser.add_argument("--batch-size", type=int, default=32, help="waves per step")
    parser.add_argument("--lr", type=float, default=0.01, help="peak learning rate")
    parser.add_argument("--hidden", type=int, default=32, help="units of each of the two layers")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    steps = 5 if args.quick else args.steps

    torch.manual_seed(args.seed)
    model = Continue(args.hidden)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)

    losses, show = [], progress(steps)
    for step in range(steps):
        wave = waves(args.batch_size, LENGTH)
        loss = nn.functional.mse_loss(model(wave[:, :-1]), wave[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        show(step + 1, f"loss {losses[-1]:.5f}")

    truth = waves(1, SHOWN + 100)
    with torch.no_grad():
        predicted = model(truth[:, :SHOWN], future=99)
    error = (predicted[0, SHOWN - 1 :] - truth[0, SHOWN:]).square().mean().sqrt().item()
    curves = {"wave": truth[0].tolist(), f"predicted, by itself from {SHOWN} on": [(i + 1, y) for i, y in enumerate(predicted[0].tolist())]}
    save_lines(args.out / "wave.svg", "an LSTM continues a sine wave", curves, x_label="time")
    save_lines(args.out / "loss.svg", "training loss", {"mean squared error": losses})
    print(f"root mean squared error of 100 values on its own: {error:.3f}; results in {args.out}")


def waves(count, length):
    """Sine waves `[count, length]` with phases drawn at random."""
    phase = 2 * math.pi * torch.rand(count, 1)
    return torch.sin(phase + torch.arange(length) * (2 * math.pi / PERIOD))


if __name__ == "__main__":
    main()
