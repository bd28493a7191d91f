"""What `cytofs detect --write csv,labels,geojson,rois` wrote, read by other people's programs.

    check_exports.py FOLDER IMAGE_NAME

CSV and JSON by Python, the label image by tifffile, ImageJ's regions by roifile: all must tell of the same objects.  Exits 77 where a module cannot be had.
"""
import csv
import json
import os
import sys
import zipfile

try:
    import numpy
    import roifile
    import tifffile
except ImportError as missing:
    print(f"skipped: no Python module {missing.name}")
    sys.exit(77)

folder, image = sys.argv[1:]
base = os.path.join(folder, image)
rows = list(csv.DictReader(open(base + ".csv", newline="")))
labels = tifffile.imread(base + ".labels.tif")
features = json.load(open(base + ".geojson"))["features"]
regions = roifile.roiread(base + ".rois.zip")
names = zipfile.ZipFile(base + ".rois.zip").namelist()
assert rows, "nothing was found: the test shows nothing"
assert len(rows) == len(features) == len(regions) == labels.max(), (len(rows), len(features), len(regions), labels.max())
assert labels.dtype == numpy.uint16
for number, (row, feature, region) in enumerate(zip(rows, features, regions), 1):
    ring = numpy.array(feature["geometry"]["coordinates"][0])
    assert (ring[0] == ring[-1]).all() and feature["geometry"]["type"] == "Polygon"
    assert numpy.abs(region.coordinates() - ring[:-1]).max() < 0.01, "ImageJ's and QuPath's outlines differ"
    assert feature["properties"]["classification"]["name"] == row["class"]
    assert names[number - 1] == f"{number:05d}-{row['class']}.roi", names[number - 1]
    ys, xs = numpy.nonzero(labels == number)
    assert len(xs) and xs.min() + 1 >= ring[:, 0].min() and xs.max() <= ring[:, 0].max(), "pixels outside of the outline"
    assert ys.min() + 1 >= ring[:, 1].min() and ys.max() <= ring[:, 1].max(), "pixels outside of the outline"
print(len(rows), "objects in all four files")
