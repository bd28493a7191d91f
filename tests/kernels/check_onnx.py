#!/usr/bin/env python3
"""Exported ONNX models, held against other people's programs: onnx's checker accepts them, and ONNX Runtime computes from
the same weights and images what our own inference computes.

    check_onnx.py RECORD_STEP

tests/run puts onnx and onnxruntime (PyPI) into build/python; where they cannot be had this exits 77.
"""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import numpy
    import onnx
    import onnxruntime
except ImportError as missing:
    print(f"skipped: no Python module {missing.name}")
    sys.exit(77)

TOLERANCE = 1e-4  # of the largest value: the same sums in another order; a wrong padding or weight is far above


def read_safetensors(path):
    data = pathlib.Path(path).read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    header.pop("__metadata__")
    values = memoryview(data)[8 + length :]
    return {
        name: numpy.frombuffer(values[slice(*entry["data_offsets"])], "<f4").reshape(entry["shape"])
        for name, entry in header.items()
    }


def check(program, size, folder):
    record, model_path = f"{folder}/{size}.safetensors", f"{folder}/{size}.onnx"
    subprocess.run([program, size, "cpu", record, model_path], check=True)
    onnx.checker.check_model(model_path, full_check=True)
    metadata = {entry.key: entry.value for entry in onnx.load(model_path).metadata_props}
    assert json.loads(metadata["cytofs.model"])["architecture"]["size"] == size.lower()
    tensors = read_safetensors(record)
    image = tensors["data.input"].transpose(0, 3, 1, 2) / 4 + 0.5  # back to 0 .. 1
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # several spin while they wait, which other tests beside this one turn into minutes
    session = onnxruntime.InferenceSession(model_path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    assert names == ["heat", "box", "rays"], names
    for name, found in zip(names, session.run(names, {"image": image})):
        wanted = tensors[f"inference.{name}"].transpose(0, 3, 1, 2)
        assert found.shape == wanted.shape, (name, found.shape, wanted.shape)
        difference = numpy.abs(found - wanted).max() / numpy.abs(wanted).max()
        print(f"{size} {name}: {difference:.2g}")
        assert difference < TOLERANCE, f"{size} {name}: ONNX Runtime computes something else"


with tempfile.TemporaryDirectory() as folder:
    for size in "NSM":
        check(sys.argv[1], size, folder)
