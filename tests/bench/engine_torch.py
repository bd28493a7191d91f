#!/usr/bin/env python3
"""One contender of tests/bench/engine: PyTorch or ONNX Runtime with the network of ours, ready to be measured.

    engine_torch.py '{"variant": ..., "task": ..., "size": ..., "precision": ..., "batch": ..., "side": ..., ...}'

It prepares (compiles, warms up), prints {"ready": seconds, "steps_done": number}, then answers each line "SECONDS" with one JSON
object of so many seconds' steps: images_per_s (of the median step), best_images_per_s, steps, cpu_ms_per_step, peak_mib.  A
contender that cannot run here prints {"absent": why} and ends.

With {"describe": true} it prints what it is; with {"check": FILE, "size": ...}, how far PyTorch's outputs are from those that
record_step wrote there, as a share of the largest value.

Variants: default, channels_last, compiled, compiled_channels_last, onnxruntime.  A training step is what ours is: forward, loss,
backward, clipping of the gradient's norm, AdamW (fused), the average of the weights.  bf16 is autocast with f32 weights; in
inference the weights themselves are bf16.  Compiled inference has its weights frozen, so that norms fold into convolutions.
"""
import json
import pathlib
import resource
import statistics
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "kernels"))
STEPS_WARM = 3


def make_data(batch, side, generator):
    import torch

    from celldet_torch import CLASSES, RAYS

    def random(*shape):
        return torch.rand(*shape, generator=generator)

    cells = (batch, side // 4, side // 4)
    weight = (random(*cells, 1) * 1.05 - 1).clamp(min=0)  # one cell in twenty has an object, as in the packs
    heat = random(*cells, CLASSES) / 2
    heat[..., :1] = torch.where(weight > 0.045, torch.ones(()), heat[..., :1])
    target = {"heat": heat, "box": 5 + 15 * random(*cells, 4), "box_weight": weight,
              "rays": 5 + 15 * random(*cells, RAYS), "ray_weight": weight}
    return random(batch, 3, side, side) * 4 - 2, target


class TorchContender:
    def __init__(self, request):
        import torch

        from celldet_torch import CellDet, our_name, read_safetensors, to_torch

        self.torch, self.request = torch, request
        self.device, self.variant = torch.device(request["device"]), request["variant"]
        self.bf16 = request["precision"] == "bf16"
        self.training = request["task"] == "train"
        if self.device.type == "cuda":
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")
        else:
            torch.set_num_threads(request["threads"])
        network = CellDet(request["size"])
        recorded = read_safetensors(pathlib.Path(request["weights"]))[0]["before"]
        for name, value in network.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                value.copy_(to_torch(recorded[our_name(name)]))
        self.image, self.target = make_data(request["batch"], request["side"], torch.Generator().manual_seed(1))
        self.network = network.to(self.device).train(self.training)
        self.image = self.image.to(self.device)
        self.target = {name: value.to(self.device) for name, value in self.target.items()}
        if "channels_last" in self.variant:
            self.network = self.network.to(memory_format=torch.channels_last)
            self.image = self.image.to(memory_format=torch.channels_last)
        (self.prepare_training if self.training else self.prepare_inference)()

    def compile(self, function):
        if not self.variant.startswith("compiled"):
            return function
        return self.torch.compile(function, mode="max-autotune" if self.device.type == "cuda" else None)

    def autocast(self):
        return self.torch.autocast(self.device.type, dtype=self.torch.bfloat16, enabled=self.bf16)

    def prepare_training(self):
        from celldet_torch import losses

        torch = self.torch
        self.parameters = list(self.network.parameters())
        decaying = [v for v in self.parameters if v.dim() == 4]
        others = [v for v in self.parameters if v.dim() != 4]
        self.optimizer = torch.optim.AdamW(
            [{"params": decaying, "weight_decay": 1e-2}, {"params": others, "weight_decay": 0}], lr=1e-4, fused=True)
        self.followed = [v for v in self.network.state_dict().values() if v.is_floating_point()]
        self.average = [v.detach().clone() for v in self.followed]
        dense = self.device.type == "cuda" or self.variant.startswith("compiled")

        def forward_and_loss(image, target):
            with self.autocast():
                output = self.network(image)
            return losses({name: value.float() for name, value in output.items()}, target, dense)[1]

        self.loss = self.compile(forward_and_loss)

    def prepare_inference(self):
        torch = self.torch
        if self.bf16:
            self.network, self.image = self.network.bfloat16(), self.image.bfloat16()
        if self.variant.startswith("compiled"):
            import torch._inductor.config

            torch._inductor.config.freezing = True
        self.forward = self.compile(self.network)

    def train(self):
        torch = self.torch
        self.optimizer.zero_grad(set_to_none=True)
        self.loss(self.image, self.target).backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 10, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self.average, self.followed, 0.002)

    def infer(self):
        with self.torch.inference_mode() if self.variant in ("default", "channels_last") else self.torch.no_grad():
            self.forward(self.image)

    def step(self):
        self.train() if self.training else self.infer()
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()

    def peak_mib(self):
        if self.device.type == "cuda":
            return self.torch.cuda.max_memory_reserved() / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


class OnnxContender:
    def __init__(self, request):
        import numpy
        import onnxruntime

        if request["task"] == "train" or request["precision"] != "f32":
            raise ImportError("ONNX Runtime computes inference in f32 here")
        provider = "CUDAExecutionProvider" if request["device"] == "cuda" else "CPUExecutionProvider"
        if provider not in onnxruntime.get_available_providers():
            raise ImportError(f"this onnxruntime has no {provider}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = request["threads"]
        self.session = onnxruntime.InferenceSession(request["onnx"], options, providers=[provider])
        image = numpy.random.default_rng(1).random((request["batch"], 3, request["side"], request["side"]))
        self.feed = {"image": image.astype(numpy.float32)}

    def step(self):
        self.session.run(None, self.feed)

    def peak_mib(self):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def measure(contender, batch, seconds):
    times, end, cpu = [], time.monotonic() + seconds, time.process_time()
    while not times or time.monotonic() < end:
        start = time.monotonic()
        contender.step()
        times.append(time.monotonic() - start)
    cpu = 1000 * (time.process_time() - cpu) / len(times)
    return {"cpu_ms_per_step": cpu, "images_per_s": batch / statistics.median(times), "best_images_per_s": batch / min(times),
            "steps": len(times), "peak_mib": round(contender.peak_mib())}


def describe():
    import torch

    try:
        from onnxruntime import __version__ as onnxruntime
    except ImportError:
        onnxruntime = None
    return {"torch": torch.__version__, "onnxruntime": onnxruntime, "cuda": torch.cuda.is_available()}


def check(request):
    import torch

    from celldet_torch import CellDet, our_name, read_safetensors, to_torch

    groups = read_safetensors(pathlib.Path(request["check"]))[0]
    network, largest = CellDet(request["size"]).double(), 0
    for name, value in network.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            value.copy_(to_torch(groups["before"][our_name(name)]))
    with torch.no_grad():
        for name, value in network.train()(to_torch(groups["data"]["input"])).items():
            ours = groups["output"][name]
            largest = max(largest, float((ours - value).abs().max() / value.abs().max()))
    return {"largest_difference": largest}


def main():
    request, start = json.loads(sys.argv[1]), time.monotonic()
    if "describe" in request or "check" in request:
        print(json.dumps(describe() if "describe" in request else check(request)))
        return
    try:
        contender = (OnnxContender if request["variant"] == "onnxruntime" else TorchContender)(request)
        for _ in range(STEPS_WARM):
            contender.step()
    except Exception as error:  # whatever a framework throws: the others are still measured
        print(json.dumps({"absent": f"{type(error).__name__}: {error}".splitlines()[0][:200]}), flush=True)
        return
    print(json.dumps({"ready": round(time.monotonic() - start, 1), "steps_done": STEPS_WARM}), flush=True)
    for line in sys.stdin:
        print(json.dumps(measure(contender, request["batch"], float(line))), flush=True)


main()
