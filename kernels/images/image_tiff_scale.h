/* How large a pixel of a TIFF file is.  Private to this folder. */
#ifndef CYTOFS_IMAGE_TIFF_SCALE_H
#define CYTOFS_IMAGE_TIFF_SCALE_H

#include <tiffio.h>

/* Micrometres a pixel of the current page; 0 where the file does not say, or says something no microscope
 * has. */
double image_tiff_scale_um(TIFF *tiff);

#endif
