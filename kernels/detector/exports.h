/* Detections for other people's programs: GeoJSON for QuPath, a label image for anything that measures, regions of interest
 * for ImageJ and Fiji. */
#ifndef CYTOFS_EXPORTS_H
#define CYTOFS_EXPORTS_H

#include "buffer.h"
#include "results.h"

/* Appends a GeoJSON feature collection (RFC 7946), as QuPath imports it: a polygon in pixels for each detection, with its
 * class, score and probability. */
void exports_append_geojson(struct buffer *out, const struct results_image *image, const struct detection_list *list,
                            const struct model_info *info);

/* Writes a 16-bit TIFF of the image's size: detection i of the list has the value i + 1, background 0.  Detections that
 * others hide are dropped from the list (outline.h), so write this file before those that number detections.  More
 * than 65535 are CODE_TOO_LARGE. */
MUST_CHECK enum code exports_write_labels(const char *path, const struct results_image *image, struct detection_list *list,
                                          struct failure *why);

/* Replaces the file by a zip archive of ImageJ regions, one a detection, which ImageJ's ROI manager opens; they are called
 * <id>-<class>.  Without detections there is no file.  Format: ij.io.RoiDecoder of ImageJ 1.53, version 227. */
MUST_CHECK enum code exports_write_rois(const char *path, const struct results_image *image,
                                        const struct detection_list *list, const struct model_info *info,
                                        struct failure *why);

#endif
