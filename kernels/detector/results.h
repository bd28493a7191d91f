/* Detections as files that other programs read: RFC 4180 CSV, one header line, '.' as decimal point. */
#ifndef CYTOFS_RESULTS_H
#define CYTOFS_RESULTS_H

#include "buffer.h"
#include "detection.h"
#include "image.h"
#include "model_file.h"

/* What the lines of one image say about it. */
struct results_image {
    const char *name;  /* as the user knows it */
    int width, height; /* pixels */
    double pixel_um;   /* 0 where unknown: areas in um^2 stay empty */
};

/* image,id,class,score,probability,x0,y0,x1,y1,cx,cy,area_px,area_um2,touches_border
 * id counts from 1 within the image; cx, cy is the middle of the box. */
void results_append_header(struct buffer *out);
void results_append_detections(struct buffer *out, const struct results_image *image, const struct detection_list *list,
                               const struct model_info *info);

/* image,<class>...,total,unlike_training.  shift: what domain_shift_of said, or NULL where that was not asked. */
void results_append_counts_header(struct buffer *out, const struct model_info *info);
void results_append_counts(struct buffer *out, const char *image, const struct detection_list *list,
                           const struct model_info *info, const char *shift);

#endif
