#!/usr/bin/env python3
"""Repeats one training step of ours in PyTorch, from the description in celldet.h and kernels/device/README.md alone.

Not run with the tests, since PyTorch is large.  After `cmake --preset release -DCYTOFS_TESTS=ON` and a build:

    python3 -m venv /tmp/torch && /tmp/torch/bin/pip install torch numpy
    /tmp/torch/bin/python tests/kernels/compare_with_torch.py build/release

Compared, for N and S: outputs, losses, every gradient (by autograd, in double precision), running statistics, AdamW's
step with the gradient clipped, the average, and inference.  A difference is the norm of the differences over the norm of
the tensor: not the largest one, since a ReLU whose argument is within rounding of zero may fall on either side, which
changes single numbers.  Exit status 1 where a tensor differs by more than TOLERANCE.  --speed compares training steps a second as well (N, 256 x 256, batch 8, 32 rays).
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import torch

from celldet_torch import CellDet, losses, our_name, read_safetensors, to_torch

LR, DECAY, CLIP, KEEP = 1e-3, 1e-2, 10, 0.9  # as network_fixture_apply has them
TOLERANCE = 1e-3  # single precision and such ReLUs stay below it; anything left out or wrong is far above


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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    agrees = True
    for size in "NS":
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "step.safetensors"
            subprocess.run([arguments.build / "tests/kernels/record_step", size, arguments.device, path], check=True)
            agrees = repeat_step(*read_safetensors(path), size).report(size) and agrees
    print("agrees" if agrees else f"differs by more than {TOLERANCE}")
    return 0 if agrees else 1


sys.exit(main())
