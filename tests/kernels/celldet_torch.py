"""CellDet in PyTorch, from the description in kernels/network/celldet.h and kernels/device/README.md alone: the network, its
losses, and the names and files that connect it with ours.  For compare_with_torch.py and tests/bench/engine."""
import json
import struct

import numpy
import torch
from torch import nn
from torch.nn import functional

WIDTHS = {"N": (16, 48), "S": (32, 64), "M": (48, 96)}
CLASSES, RAYS = 3, 32


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


def losses(output, target, dense=False):
    """The three terms and their weighted sum.  dense: every cell's rays are computed, then weighted, in place of the few
    that have any; the same values, and what a compiler makes one kernel of."""
    t, p = target["heat"], torch.sigmoid(output["heat"]).clamp(1e-4, 1 - 1e-4)
    peak = t > 0.999
    heat = torch.where(peak, -((1 - p) ** 2) * p.log(), -((1 - t) ** 4) * p**2 * (1 - p).log())
    d, b = 4 * output["box"].clamp(-4, 6).exp(), target["box"]
    low = torch.minimum(d, b)
    inner = (low[..., 0] + low[..., 2]) * (low[..., 1] + low[..., 3])
    areas = [(x[..., 0] + x[..., 2]) * (x[..., 1] + x[..., 3]) for x in (d, b)]
    overlap = -((inner + 1) / (areas[0] + areas[1] - inner + 1)).log()
    w, v = target["box_weight"][..., 0], target["ray_weight"][..., 0]
    z, s = output["rays"], target["rays"]
    if dense:
        s = s.clamp(min=0.1)
    else:
        z, s, v = z[v > 0], s[v > 0], v[v > 0]
    r = 4 * z.clamp(-4, 6).exp()
    shape = (torch.maximum(r, s).sum(-1) / torch.minimum(r, s).sum(-1)).log() + 0.2 * (r.log() - s.log()).abs().mean(-1)
    parts = {"heat": heat.sum() / peak.sum().clamp(min=1), "box": (w * overlap).sum() / w.sum(),
             "rays": (v * shape).sum() / v.sum()}
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
