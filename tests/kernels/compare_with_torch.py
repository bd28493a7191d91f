#!/usr/bin/env python3
"""Repeats one training step of ours in PyTorch, from the description in celldet.h and kernels/device/README.md alone.

Not run with the tests, since PyTorch is large.  After `cmake --preset release -DCYTOFS_TESTS=ON` and a build:

    python3 -m venv /tmp/torch && /tmp/torch/bin/pip install torch numpy
    /tmp/torch/bin/python tests/kernels/compare_with_torch.py build/release [--speed]

Compared, for N and S: outputs, losses, every gradient (by autograd, in double precision), running statistics, AdamW's
step with the gradient clipped, the average, and inference.  A difference is the norm of the differences over the norm of
the tensor: not the largest one, since a ReLU whose argument is within rounding of zero may fall on either side, which
changes single numbers.  Exit status 1 where a tensor differs by more than TOLERANCE.  --speed compares training steps a second as well (N, 256 x 256, batch 8, 32 rays).
"""
import argparse
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("GOMP_SPINCOUNT", "1000")  # before OpenMP starts, for both: threads that wait must not spin

import numpy
import torch
from torch import nn
from torch.nn import functional

WIDTHS = {"N": (16, 48), "S": (32, 64), "M": (48, 96)}
CLASSES, RAYS = 3, 32
LR, DECAY, CLIP, KEEP = 1e-3, 1e-2, 10, 0.9  # as network_fixture_apply has them
TOLERANCE = 1e-3  # single precision and such ReLUs stay below it; anything left out or wrong is far above


class Unit(nn.Module):
    """Convolution with norm and perhaps ReLU, or with a bias."""

    def __init__(self, channels_in, channels, kernel, stride=1, norm=True, relu=True):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, kernel, stride, kernel // 2, bias=not norm)
        self.norm = nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1) if norm else nn.Identity()
        self.relu = relu

    def forward(self, x):
        x = self.norm(self.conv(x))
        return functional.relu(x) if self.relu else x


class Block(nn.Module):
    def __init__(self, channels_in, channels, stride):
        super().__init__()
        changes = stride != 1 or channels_in != channels
        self.shortcut = Unit(channels_in, channels, 1, stride, relu=False) if changes else nn.Identity()
        self.conv1 = Unit(channels_in, channels, 3, stride)
        self.conv2 = Unit(channels, channels, 3, relu=False)

    def forward(self, x):
        return functional.relu(self.conv2(self.conv1(x)) + self.shortcut(x))


class CellDet(nn.Module):
    def __init__(self, size):
        super().__init__()
        w, neck = WIDTHS[size]
        self.stem = nn.ModuleDict({"conv1": Unit(3, w, 3, 2), "conv2": Unit(w, w, 3)})
        before = w
        for stage in range(1, 5):
            after = 2 * stage * w
            setattr(self, f"stage{stage}", nn.Sequential(Block(before, after, 2), Block(after, after, 1)))
            before = after
        self.neck = nn.ModuleDict()
        for level in range(4, 0, -1):
            self.neck[f"lateral{level}"] = Unit(2 * level * w, neck, 1, norm=False, relu=False)
            if level < 4:
                self.neck[f"smooth{level}"] = Unit(neck, neck, 3)
        for name, channels in (("heat", CLASSES), ("box", 4), ("rays", RAYS)):
            head = {"conv": Unit(neck, neck, 3), "out": Unit(neck, channels, 1, norm=False, relu=False)}
            setattr(self, name, nn.ModuleDict(head))

    def forward(self, x):
        x = self.stem["conv2"](self.stem["conv1"](x))
        features = []
        for stage in (self.stage1, self.stage2, self.stage3, self.stage4):
            x = stage(x)
            features.append(x)
        p = self.neck["lateral4"](features[3])
        for level in (3, 2, 1):
            p = functional.interpolate(p, scale_factor=2, mode="nearest")
            p = self.neck[f"smooth{level}"](p + self.neck[f"lateral{level}"](features[level - 1]))
        heads = {"heat": self.heat, "box": self.box, "rays": self.rays}
        return {name: head["out"](head["conv"](p)).permute(0, 2, 3, 1) for name, head in heads.items()}


def our_name(name):
    """stem.conv1.conv.weight -> stem.conv1.weight, but heat.conv.conv.weight -> heat.conv.weight."""
    parts = name.split(".")
    if parts[-2] == "conv":
        del parts[-2]
    return ".".join(parts)


def losses(output, target):
    t, p = target["heat"], torch.sigmoid(output["heat"]).clamp(1e-4, 1 - 1e-4)
    peak = t > 0.999
    heat = torch.where(peak, -((1 - p) ** 2) * p.log(), -((1 - t) ** 4) * p**2 * (1 - p).log())
    d, b = 4 * output["box"].clamp(-4, 6).exp(), target["box"]
    low = torch.minimum(d, b)
    inner = (low[..., 0] + low[..., 2]) * (low[..., 1] + low[..., 3])
    areas = [(x[..., 0] + x[..., 2]) * (x[..., 1] + x[..., 3]) for x in (d, b)]
    overlap = -((inner + 1) / (areas[0] + areas[1] - inner + 1)).log()
    r, s = 4 * output["rays"].clamp(-4, 6).exp(), target["rays"]
    w, v = target["box_weight"][..., 0], target["ray_weight"][..., 0]
    r, s = r[v > 0], s[v > 0]
    shape = (torch.maximum(r, s).sum(-1) / torch.minimum(r, s).sum(-1)).log() + 0.2 * (r.log() - s.log()).abs().mean(-1)
    parts = {"heat": heat.sum() / peak.sum().clamp(min=1), "box": (w * overlap).sum() / w.sum(),
             "rays": (v[v > 0] * shape).sum() / v.sum()}
    return parts, parts["heat"] + 2 * parts["box"] + parts["rays"]


def read_safetensors(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8:8 + length])
    notes = header.pop("__metadata__")
    groups = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        group, rest = name.split(".", 1)
        values = numpy.frombuffer(data[begin:end], "<f4").reshape(entry["shape"])
        groups.setdefault(group, {})[rest] = torch.from_numpy(values.astype(numpy.float64))
    return groups, notes


def to_torch(values):
    return values.permute(0, 3, 1, 2).contiguous() if values.dim() == 4 else values


class Comparison:
    def __init__(self):
        self.worst = {}

    def hold(self, what, name, ours, theirs):
        error = float((ours - theirs).norm() / theirs.norm().clamp(min=1e-6))
        if error >= self.worst.get(what, (-1, ""))[0]:
            self.worst[what] = (error, name)

    def report(self, title):
        for what, (error, name) in self.worst.items():
            print(f"{title} {what:14} differ by at most {error:.1e} ({name})")
        return all(error <= TOLERANCE for error, _ in self.worst.values())


def repeat_step(groups, notes, size):
    """Everything that the record holds, held against PyTorch's."""
    network, found = CellDet(size).double(), Comparison()
    state = {our_name(k): v for k, v in network.state_dict().items() if not k.endswith("num_batches_tracked")}
    assert set(state) == set(groups["before"]), sorted(set(state) ^ set(groups["before"]))
    for name, value in state.items():
        value.copy_(to_torch(groups["before"][name]))
    image = to_torch(groups["data"]["input"])
    network.train()
    output = network(image)
    parts, total = losses(output, groups["target"])
    total.backward()
    for name, value in output.items():
        found.hold("outputs", name, groups["output"][name], value.detach())
    for name, value in {**parts, "": total}.items():
        ours = torch.tensor(float(notes["loss_" + name if name else "loss"]), dtype=torch.float64)
        found.hold("losses", name or "total", ours, value.detach())
    parameters = {our_name(k): v for k, v in network.named_parameters()}
    for name, value in parameters.items():
        found.hold("gradients", name, to_torch(groups["gradient"][name]), value.grad)
        value.grad.copy_(to_torch(groups["gradient"][name]))  # the first step of Adam hangs on signs alone
    decaying = [v for v in parameters.values() if v.dim() == 4]
    others = [v for v in parameters.values() if v.dim() != 4]
    torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP)
    torch.optim.AdamW([{"params": decaying, "weight_decay": DECAY}, {"params": others, "weight_decay": 0}],
                      lr=LR, betas=(0.9, 0.999), eps=1e-8).step()
    for name, value in state.items():
        kind = "statistics" if "running" in name else "weights after"
        ours, start = to_torch(groups["after"][name]), to_torch(groups["before"][name])
        found.hold(kind, name, ours - start, value.detach() - start)
        average = KEEP * to_torch(groups["average_before"][name]) + (1 - KEEP) * value.detach()
        found.hold("average", name, to_torch(groups["average"][name]), average)
    network.eval()
    with torch.no_grad():
        for name, value in network(image).items():
            found.hold("inference", name, groups["inference"][name], value)
    return found


def measure_torch(channels_last):
    torch.manual_seed(1)
    network = CellDet("N")
    image, side, batch = torch.randn(8, 3, 256, 256), 64, 8
    if channels_last:
        network, image = (x.to(memory_format=torch.channels_last) for x in (network, image))
    weight = (torch.rand(batch, side, side, 1) - 0.95).clamp(min=0)
    target = {"heat": torch.rand(batch, side, side, CLASSES) / 2, "box": 5 + 15 * torch.rand(batch, side, side, 4),
              "box_weight": weight, "rays": 5 + 15 * torch.rand(batch, side, side, RAYS), "ray_weight": weight}
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)
    seconds, begin = [], time.monotonic()
    while time.monotonic() - begin < 12:
        start = time.monotonic()
        optimizer.zero_grad()
        losses(network(image), target)[1].backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10)
        optimizer.step()
        seconds.append(time.monotonic() - start)
    return batch / statistics.median(seconds[1:])


def compare_speed(build):
    ours = subprocess.run([build / "tests/bench/bench_network", "--size", "N", "--precision", "f32"], check=True,
                          capture_output=True, text=True).stdout
    words = dict(word.split("=") for word in next(l for l in ours.splitlines() if l.startswith("train")).split()[1:])
    print(f"training, N, 256 x 256, batch 8, f32, {torch.get_num_threads()} threads, images/s: "
          f"ours {words['images_per_s']}, PyTorch {measure_torch(False):.1f}, channels_last {measure_torch(True):.1f}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--speed", action="store_true")
    arguments = parser.parse_args()
    agrees = True
    for size in "NS":
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "step.safetensors"
            subprocess.run([arguments.build / "tests/kernels/record_step", size, arguments.device, path], check=True)
            agrees = repeat_step(*read_safetensors(path), size).report(size) and agrees
    if arguments.speed:
        compare_speed(arguments.build)
    print("agrees" if agrees else f"differs by more than {TOLERANCE}")
    return 0 if agrees else 1


sys.exit(main())
