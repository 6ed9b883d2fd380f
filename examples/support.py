"""What the examples share: options, a progress line, the digits, and pictures as SVG. Standard library only."""

import argparse
import csv
import gzip
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLOURS = ["#c0392b", "#2563a8", "#2e8b57", "#8e44ad"]


def options(description, out):
    """A parser with the options that all examples have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="seed of everything that is drawn")
    parser.add_argument("--threads", type=int, help="threads to compute with; without it, one for each core")
    parser.add_argument("--out", type=Path, default=Path(out), metavar="DIR", help="folder for the results")
    parser.add_argument("--quick", action="store_true", help="only a few steps, to see whether all works")
    return parser


def progress(total, every=0.2):
    """Returns `show(done, text)`, which keeps one line of the terminal up to date; elsewhere it prints some ten lines."""
    start = last = time.perf_counter()
    terminal = sys.stdout.isatty()

    def show(done, text):
        nonlocal last
        now = time.perf_counter()
        if terminal and (done == total or now - last > every):
            last = now
            left = (now - start) / done * (total - done)
            print(f"\r{done}/{total} {text} [{now - start:.0f} s < {left:.0f} s]\033[K", end="\n" if done == total else "", flush=True)
        elif not terminal and (done == total or done % max(1, total // 10) == 0):
            print(f"{done}/{total} {text}")

    return show


def digits():
    """The handwritten digits that are part of the library: 1,797 rows of 8 × 8 pixels from 0 to 1, and their labels."""
    with gzip.open(ROOT / "crates/rushlight/src/data/digits.csv.gz", "rt") as file:
        rows = [[int(cell) for cell in row] for row in csv.reader(file)]
    return [[pixel / 16 for pixel in row[:64]] for row in rows], [row[64] for row in rows]


def save_lines(path, title, series, x_label="step"):
    """Draws curves: `series` maps a name to a list of numbers, or to a list of (x, y)."""
    curves = {name: [p if isinstance(p, tuple) else (i, p) for i, p in enumerate(points)] for name, points in series.items()}
    xs, ys = zip(*(point for points in curves.values() for point in points))
    (left, right), (low, high) = (min(xs), max(xs)), (min(ys), max(ys))
    at_x = lambda x: 60 + 640 * (x - left) / ((right - left) or 1)
    at_y = lambda y: 320 - 270 * (y - low) / ((high - low) or 1)
    parts = [f'<text x="380" y="28" text-anchor="middle" font-size="16">{title}</text>', f'<text x="380" y="358" text-anchor="middle">{x_label}</text>']
    for i in range(5):
        x, y = left + (right - left) * i / 4, low + (high - low) * i / 4
        parts.append(f'<path d="M60 {at_y(y):.1f}H700" stroke="#ddd"/><text x="54" y="{at_y(y) + 4:.1f}" text-anchor="end">{y:.3g}</text>')
        parts.append(f'<text x="{at_x(x):.1f}" y="338" text-anchor="middle">{x:.4g}</text>')
    for i, (name, points) in enumerate(curves.items()):
        colour = COLOURS[i % len(COLOURS)]
        path_data = "M" + "L".join(f"{at_x(x):.1f} {at_y(y):.1f}" for x, y in points)
        parts.append(f'<path d="{path_data}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="690" y="{62 + 16 * i}" text-anchor="end" fill="{colour}">{name}</text>')
    write_svg(path, 720, 370, parts)


def save_images(path, rows, scale=5):
    """Draws rows of grey images; an image is a list of rows of numbers from 0 (white) to 1 (black)."""
    height, width = len(rows[0][0]), len(rows[0][0][0])
    parts = []
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            for y, line in enumerate(image):
                for x, pixel in enumerate(line):
                    grey = round(255 * (1 - min(max(pixel, 0), 1)))
                    left, top = (j * (width + 1) + x + 1) * scale, (i * (height + 1) + y + 1) * scale
                    parts.append(f'<rect x="{left}" y="{top}" width="{scale}" height="{scale}" fill="#{grey:02x}{grey:02x}{grey:02x}"/>')
    columns = max(len(row) for row in rows)
    write_svg(path, (columns * (width + 1) + 1) * scale, (len(rows) * (height + 1) + 1) * scale, parts)


def write_svg(path, width, height, parts):
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="11">'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, '<rect width="100%" height="100%" fill="white"/>', *parts, "</svg>\n"]), encoding="utf-8")
