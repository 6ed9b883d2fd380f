"""Trains a variational autoencoder on handwritten digits, and draws digits that nobody has written.

    python examples/vae.py
    python examples/vae.py --epochs 200 --latent 16

Kingma and Welling (2013), "Auto-Encoding Variational Bayes".
"""

import rushlight as torch
from support import digits, options, progress, save_images, save_lines

nn, F, data = torch.nn, torch.nn.functional, torch.utils.data


class VAE(nn.Module):
    """Images `[n, 64]` to the logits of their pixels, by way of `latent` numbers each."""

    def __init__(self, latent, hidden=256):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, 64))

    def forward(self, x):
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
        return self.decoder(z), mean, log_variance


def negative_elbo(x, logits, mean, log_variance):
    """The negative evidence lower bound of one image, on average: what reconstruction and latent code cost, in nats."""
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = -0.5 * torch.sum(1 + log_variance - mean.square() - log_variance.exp())
    return (reconstruction + divergence) / len(x)


def main():
    parser = options(__doc__.splitlines()[0], out="vae-out")
    parser.add_argument("--epochs", type=int, default=60, help="passes over the images")
    parser.add_argument("--batch-size", type=int, default=64, help="images per step")
    parser.add_argument("--lr", type=float, default=0.001, help="learning rate")
    parser.add_argument("--latent", type=int, default=8, help="numbers that an image is coded in")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    epochs = 1 if args.quick else args.epochs

    torch.manual_seed(args.seed)
    images = torch.tensor(digits()[0])
    loader = data.DataLoader(data.TensorDataset(images), batch_size=args.batch_size, shuffle=True)
    model = VAE(args.latent)
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr)

    losses, show = [], progress(epochs * len(loader))
    for epoch in range(epochs):
        total = 0.0
        for step, (x,) in enumerate(loader):
            loss = negative_elbo(x, *model(x))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += len(x) * loss.item()
            show(epoch * len(loader) + step + 1, f"epoch {epoch + 1}, loss {loss.item():.2f} nats")
        losses.append(total / len(images))

    model.eval()
    with torch.no_grad():
        logits, _, _ = model(images[:12])
        drawn = torch.sigmoid(model.decoder(torch.randn(36, args.latent)))
    rows = [images[:12], torch.sigmoid(logits), *drawn.split(12)]
    save_images(args.out / "digits.svg", [row.reshape(-1, 8, 8).tolist() for row in rows])
    save_lines(args.out / "loss.svg", "negative evidence lower bound", {"nats": losses}, x_label="epoch")
    print(f"loss {losses[-1]:.2f} nats; {args.out}/digits.svg shows digits, their reconstructions and three rows of new ones")


if __name__ == "__main__":
    main()
