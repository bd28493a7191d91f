#!/usr/bin/env python3
"""Writes vectors.h: the detection loss and AdamW by their definitions, in double precision, with numpy.

An oracle of its own: gradients are central differences of the loss, so no derivative is written down here.
Run it in this folder:  python3 make_vectors.py > vectors.h
"""
import numpy as np

random = np.random.default_rng(11)
CELLS, CLASSES, RAYS = 6, 2, 8


def heat_loss(x, t):
    p = np.clip(1 / (1 + np.exp(-x)), 1e-4, 1 - 1e-4)
    peak = t > 0.999
    terms = np.where(peak, -((1 - p) ** 2) * np.log(p), -((1 - t) ** 4) * p**2 * np.log(1 - p))
    return terms.sum() / max(1, peak.sum())


def box_loss(z, target, weight):
    left, top, right, bottom = (4 * np.exp(np.clip(z, -4, 6))).T
    tl, tt, tr, tb = target.T
    inner = (np.minimum(left, tl) + np.minimum(right, tr)) * (np.minimum(top, tt) + np.minimum(bottom, tb))
    union = (left + right) * (top + bottom) + (tl + tr) * (tt + tb) - inner
    return (weight * -np.log((inner + 1) / (union + 1))).sum() / weight.sum()


def ray_loss(z, target, weight):
    d = 4 * np.exp(np.clip(z, -4, 6))
    ratio = np.log(np.maximum(d, target).sum(1) / np.minimum(d, target).sum(1))
    logs = 0.2 * np.abs(np.log(d) - np.log(target)).mean(1)
    return (weight * (ratio + logs)).sum() / weight.sum()


def derivative(function, x, step=1e-5):
    gradient = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[i] += step
        down[i] -= step
        gradient[i] = (function(up) - function(down)) / (2 * step)
    return gradient


def table(name, values, kind="float"):
    text = ", ".join(repr(float(v)) + ("f" if kind == "float" else "") for v in np.ravel(values))
    print(f"static const {kind} vectors_{name}[] = {{{text}}};")


def single(values):
    return values.astype(np.float32).astype(np.float64)


heat, heat_target = single(random.normal(-1, 2, (CELLS, CLASSES))), single(random.uniform(0, 0.9, (CELLS, CLASSES)))
heat_target[1, 0] = heat_target[4, 1] = 1
box, box_target = single(random.normal(1.4, 0.7, (CELLS, 4))), single(random.uniform(5, 30, (CELLS, 4)))
rays, ray_target = single(random.normal(1.4, 0.7, (CELLS, RAYS))), single(random.uniform(5, 30, (CELLS, RAYS)))
weight = single(np.array([0.5, 0.25, 0, 1, 0, 0.125]))

print("/* Written by make_vectors.py: do not edit. */\n#ifndef CYTOFS_VECTORS_H\n#define CYTOFS_VECTORS_H\n")
print(f"enum {{ VECTORS_CELLS = {CELLS}, VECTORS_CLASSES = {CLASSES}, VECTORS_RAYS = {RAYS} }};")
for name, values in dict(heat=heat, heat_target=heat_target, box=box, box_target=box_target, rays=rays,
                         ray_target=ray_target, weight=weight).items():
    table(name, values)
table("terms", [heat_loss(heat, heat_target), box_loss(box, box_target, weight), ray_loss(rays, ray_target, weight)],
      "double")
table("dheat", derivative(lambda x: heat_loss(x, heat_target), heat), "double")
table("dbox", 2 * derivative(lambda z: box_loss(z, box_target, weight), box), "double")
table("drays", derivative(lambda z: ray_loss(z, ray_target, weight), rays), "double")

# Three steps of AdamW: 16 floats that decay, 16 that do not, 16 statistics; the second gradient is clipped.
COUNT, TRAINED, DECAYING, STEPS = 48, 32, 16, 3
LR, DECAY, CLIP, KEEP = 0.01, 0.1, 10.0, 0.9
start = single(random.normal(0, 1, COUNT))
gradients = single(random.normal(0, 1, (STEPS, TRAINED)) * np.array([[1], [100], [0.01]]))
weights, average, m, v = start.copy(), start.copy(), np.zeros(TRAINED), np.zeros(TRAINED)
norms = []
for step in range(STEPS):
    norms.append(np.sqrt((gradients[step] ** 2).sum()))
    g = gradients[step] * min(1, CLIP / norms[-1])
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g * g
    weights[:DECAYING] *= 1 - LR * DECAY
    weights[:TRAINED] -= LR * (m / (1 - 0.9 ** (step + 1))) / (np.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8)
    average = KEEP * average + (1 - KEEP) * weights
print(f"\nenum {{ VECTORS_COUNT = {COUNT}, VECTORS_TRAINED = {TRAINED}, VECTORS_DECAYING = {DECAYING}, "
      f"VECTORS_STEPS = {STEPS} }};")
table("step_factors", [LR, DECAY, CLIP, KEEP])
table("start", start)
table("gradients", gradients)
table("norms", norms, "double")
table("weights", weights, "double")
table("average", average, "double")
print("\n#endif")
