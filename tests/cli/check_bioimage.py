"""rdf.yaml beside a trained model, read by bioimageio.spec, and its test tensors, repeated by ONNX Runtime.

    check_bioimage.py MODEL_FOLDER

Exits 77 where a module cannot be had.
"""
import hashlib
import pathlib
import sys

try:
    import numpy
    import onnxruntime
    from bioimageio.spec import ValidationContext, load_description
    from bioimageio.spec.model.v0_5 import ModelDescr
except ImportError as missing:
    print(f"skipped: no Python module {missing.name}")
    sys.exit(77)

folder = pathlib.Path(sys.argv[1])
# Its own look at the tensors (0.5.14) takes a tensor's largest value for its largest absolute one, and logits are negative.
with ValidationContext(perform_io_checks=False):
    description = load_description(folder / "rdf.yaml")
assert isinstance(description, ModelDescr), description.validation_summary.display()
assert description.validation_summary.status != "failed"
assert str(description.weights.onnx.sha256) == hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
names = [tensor.id for tensor in description.outputs]
assert names == ["heat", "box", "rays"], names
image = numpy.load(folder / "test_image.npy")
assert image.dtype == numpy.float32 and image.min() >= 0 and image.max() <= 1
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])
for tensor, found in zip(description.outputs, session.run(names, {"image": image})):
    wanted = numpy.load(folder / f"test_{tensor.id}.npy")
    assert wanted.shape == found.shape and len(tensor.axes) == found.ndim, (tensor.id, wanted.shape, found.shape)
    assert len(tensor.axes[1].channel_names) == found.shape[1], tensor.id
    difference = numpy.abs(wanted - found).max() / numpy.abs(wanted).max()
    assert difference < 1e-4, f"{tensor.id}: ONNX Runtime differs by {difference}"
print("rdf.yaml is valid, format", description.format_version, "and ONNX Runtime repeats its test tensors")
