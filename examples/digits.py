"""Trains a small convolutional network on real handwritten digits, and shows what it has learnt.

    python examples/digits.py
    python examples/digits.py --epochs 10 --lr 0.001 --out runs/a
    python examples/digits.py --resume runs/a/checkpoint.pt --out runs/a

The same seed gives the same weights to the bit, at any number of threads; a run that was interrupted and resumed ends with the
same weights as one that was not.
"""

import time

import rushlight as torch
from support import digits, options, progress, save_lines

nn, F, data = torch.nn, torch.nn.functional, torch.utils.data


class Net(nn.Module):
    """Two convolutions and two linear layers: images `[n, 1, 8, 8]` to scores `[n, 10]`."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3, padding=1)
        self.conv2 = nn.Conv2d(32, 64, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(0.3)
        self.fc1 = nn.Linear(64 * 4 * 4, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.relu(self.conv2(x))
        x = self.dropout(torch.flatten(self.pool(x), 1))
        x = self.dropout(F.relu(self.fc1(x)))
        return self.fc2(x)


def parse():
    parser = options(__doc__.splitlines()[0], out="digits-out")
    parser.add_argument("--epochs", type=int, default=30, help="passes over the training set")
    parser.add_argument("--batch-size", type=int, default=32, help="images per step")
    parser.add_argument("--lr", type=float, default=0.003, help="peak learning rate")
    parser.add_argument("--resume", metavar="FILE", help="go on from this checkpoint; give the same settings as before")
    parser.add_argument("--stop-after", type=int, metavar="EPOCHS", help="stop after this many epochs, as if interrupted")
    return parser.parse_args()


def main():
    args = parse()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.quick:
        args.epochs = 1
    args.out.mkdir(parents=True, exist_ok=True)

    # The split is the same for every seed, so that runs can be compared.
    images, labels = digits()
    whole = data.TensorDataset(torch.tensor(images).reshape(-1, 1, 8, 8), torch.tensor(labels))
    train, test = data.random_split(whole, [0.8, 0.2], generator=torch.Generator().manual_seed(0))
    test_images, test_labels = whole[test.indices]
    print(f"{len(train)} training and {len(test)} test images, {torch.get_num_threads()} threads")

    torch.manual_seed(args.seed)
    model = Net()
    loader = data.DataLoader(train, batch_size=args.batch_size, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, args.epochs * len(loader))
    history, start = [], time.perf_counter()
    if args.resume:
        saved = torch.load(args.resume)
        model.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        torch.set_rng_state(saved["rng"])
        history = saved["history"]
        print(f"resumed after epoch {len(history)} of {args.epochs}")

    end = min(args.epochs, args.stop_after or args.epochs)
    show = progress(end * len(loader))
    for epoch in range(len(history), end):
        model.train()
        seen = loss_sum = right = 0
        for step, (x, y) in enumerate(loader):
            scores = model(x)
            loss = F.cross_entropy(scores, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

            seen += len(y)
            loss_sum += len(y) * loss.item()
            right += (scores.argmax(1) == y).sum().item()
            show(epoch * len(loader) + step + 1, f"epoch {epoch + 1}, loss {loss_sum / seen:.4f}, accuracy {100 * right / seen:.2f} %")
        test_right = (predict(model, test_images).argmax(1) == test_labels).sum().item()
        history.append([loss_sum / seen, right / seen, test_right / len(test_labels)])
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
        torch.save({**state, "rng": torch.get_rng_state(), "history": history}, args.out / "checkpoint.pt")

    losses, train_accuracy, test_accuracy = zip(*history)
    save_lines(args.out / "loss.svg", "training loss", {"cross-entropy": losses}, x_label="epoch")
    save_lines(args.out / "accuracy.svg", "accuracy", {"training": train_accuracy, "test": test_accuracy}, x_label="epoch")
    scores = predict(model, test_images)
    print_confusion(scores.argmax(1).tolist(), test_labels.tolist())
    print_samples(test_images, scores, test_labels)
    seconds = time.perf_counter() - start
    print(f"test accuracy {100 * test_accuracy[-1]:.2f} % after {len(history)} epochs, {seconds:.1f} s; results in {args.out}")


def predict(model, images):
    """Scores of all images, without dropout and without gradients."""
    model.eval()
    with torch.no_grad():
        return model(images)


def print_confusion(predicted, actual):
    counts = [[0] * 10 for _ in range(10)]
    for p, a in zip(predicted, actual):
        counts[a][p] += 1
    print("\nconfusion matrix (rows: the digit, columns: what it was taken for)")
    print("     " + "".join(f"{i:>4}" for i in range(10)))
    for digit, row in enumerate(counts):
        print(f"{digit:>4} " + "".join(f"{n or '·':>4}" for n in row))


def print_samples(images, scores, labels):
    """A few test images in the terminal, side by side; the ones that the model gets wrong come first."""
    confidence, predicted = scores.softmax(1).max(1)
    order = (predicted == labels).int().argsort(stable=True)[:5].tolist()
    print()
    for row in range(8):
        print("  " + "    ".join("".join(shade(pixel) for pixel in images[i, 0, row].tolist()) for i in order))
    captions = [f"{labels[i].item()} → {predicted[i].item()} ({100 * confidence[i].item():.0f} %)" for i in order]
    print("  " + "    ".join(f"{caption:<16}" for caption in captions) + "\n")


def shade(pixel):
    """Two characters, so that a pixel is about square."""
    return ["  ", "░░", "▒▒", "▓▓", "██"][round(4 * pixel)]


if __name__ == "__main__":
    main()
