/* The pixel size of a TIFF file, from the three places where programs write it, the most specific first:
 *
 *  1. OME-XML in the image description: PhysicalSizeX="0.325", in micrometres unless PhysicalSizeXUnit says
 *     otherwise (OME data model, 2016-06);
 *  2. ImageJ's description: "ImageJ=...", "unit=micron", and XResolution as pixels per that unit;
 *  3. XResolution with ResolutionUnit inch or centimetre (TIFF 6.0, section 3).
 */
#include "image_tiff_scale.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "image_formats.h"

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static bool is_micrometre(const char *text)
{
    return starts_with(text, "um") || starts_with(text, "micron") || starts_with(text, "\\u00B5m") ||
           starts_with(text, "\xC2\xB5m") || starts_with(text, "\xCE\xBCm") || starts_with(text, "\xB5m") ||
           starts_with(text, "&#181;m");
}

static double from_ome(const char *description)
{
    static const char size_key[] = "PhysicalSizeX=\"", unit_key[] = "PhysicalSizeXUnit=\"";
    const char *size = strstr(description, size_key);
    const char *unit = strstr(description, unit_key);
    if (!size || (unit && !is_micrometre(unit + sizeof unit_key - 1)))
        return 0;
    return image_plausible_um(strtod(size + sizeof size_key - 1, NULL));
}

double image_tiff_scale_um(TIFF *tiff)
{
    const char *description = NULL;
    if (!TIFFGetField(tiff, TIFFTAG_IMAGEDESCRIPTION, &description))
        description = NULL;
    if (description && strstr(description, "<OME"))
        return from_ome(description);
    float per_unit = 0;
    if (!TIFFGetField(tiff, TIFFTAG_XRESOLUTION, &per_unit) || !(per_unit > 0))
        return 0;
    if (description && starts_with(description, "ImageJ=")) {
        const char *unit = strstr(description, "\nunit=");
        return unit && is_micrometre(unit + strlen("\nunit=")) ? image_plausible_um(1.0 / (double)per_unit) : 0;
    }
    uint16_t unit = RESUNIT_INCH;
    TIFFGetFieldDefaulted(tiff, TIFFTAG_RESOLUTIONUNIT, &unit);
    if (unit != RESUNIT_INCH && unit != RESUNIT_CENTIMETER)
        return 0;
    return image_plausible_um((unit == RESUNIT_INCH ? 25400.0 : 10000.0) / (double)per_unit);
}
