#!/usr/bin/env python3
"""The evaluation of test_evaluation.c's made-up detections, computed once more from COCO's definition.

Prints the numbers that the test holds as recorded. Written apart from evaluation.c: it sorts all detections of a class
over all images, walks the IoU thresholds one by one, and takes precision at each of 101 recalls as a maximum.
"""
import numpy as np

MASK = (1 << 64) - 1


class Random:  # splitmix64, as in fs/base/random.h
    def __init__(self, seed, stream):
        self.state = seed ^ (stream * 0xD1B54A32D192ED03 & MASK)
        self.next()
        self.next()

    def next(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) & MASK
        z = self.state
        z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
        return z ^ z >> 31

    def uniform(self):
        return (self.next() >> 11) * 2.0 ** -53

    def below(self, count):
        return (self.next() >> 32) * count >> 32


def f32(x):
    return float(np.float32(x))


def make_image(index):
    random = Random(2026, index)
    truths, detections = [], []
    for _ in range(random.below(12)):
        x, y = f32(random.uniform() * 200), f32(random.uniform() * 200)
        w, h = f32(10 + random.uniform() * 30), f32(10 + random.uniform() * 30)
        k = random.below(3)
        truths.append((x, y, f32(np.float32(x) + np.float32(w)), f32(np.float32(y) + np.float32(h)), k))
    for x0, y0, x1, y1, k in truths:
        if random.uniform() < 0.2:
            continue
        shift = [f32(random.uniform() * 8 - 4) for _ in range(4)]
        box = [f32(np.float32(a) + np.float32(b)) for a, b in zip((x0, y0, x1, y1), shift)]
        score = f32(0.3 + 0.7 * random.uniform())
        detections.append((*box, k, score))
    for _ in range(random.below(5)):
        x, y = f32(random.uniform() * 200), f32(random.uniform() * 200)
        k = random.below(3)
        detections.append((x, y, f32(np.float32(x) + np.float32(20)), f32(np.float32(y) + np.float32(20)), k,
                           f32(0.6 * random.uniform())))
    return truths, detections


def iou(a, b):
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def judge(images, k, threshold):
    """(score, is true) of every detection of class k, best first; number of objects."""
    rows = [(d[5], i, j) for i, (_, ds) in enumerate(images) for j, d in enumerate(ds) if d[4] == k]
    rows.sort(key=lambda r: -r[0])
    taken, out = set(), []
    for score, i, j in rows:
        truths, detections = images[i]
        candidates = [(iou(t, detections[j]), n) for n, t in enumerate(truths) if t[4] == k and (i, n) not in taken]
        candidates = [c for c in candidates if c[0] >= threshold]
        if candidates:
            taken.add((i, max(candidates, key=lambda c: c[0])[1]))
        out.append((score, bool(candidates)))
    return out, sum(t[4] == k for ts, _ in images for t in ts)


def average_precision(verdicts, objects):
    true = np.cumsum([v for _, v in verdicts])
    precision = true / np.arange(1, len(verdicts) + 1)
    recall = true / objects
    points = np.linspace(0, 1, 101)
    return np.mean([max(precision[recall >= p - 1e-12], default=0.0) for p in points])


images = [make_image(i) for i in range(40)]
for k in range(3):
    aps = []
    for t in range(10):
        verdicts, objects = judge(images, k, 0.5 + 0.05 * t)
        aps.append(average_precision(verdicts, objects))
    verdicts, objects = judge(images, k, 0.5)
    found = [v for s, v in verdicts if s >= 0.45]
    differences = [sum(d[4] == k and d[5] >= np.float32(0.45) for d in ds) - sum(t[4] == k for t in ts)
                   for ts, ds in images]
    print(f"    {{{objects}, {aps[0]:.9f}, {aps[5]:.9f}, {np.mean(aps):.9f}, {sum(found) / len(found):.9f},"
          f" {sum(found) / objects:.9f}, {np.mean(np.abs(differences)):.9f}, {np.mean(differences):.9f}}},")
