/* Detections as text: see results.h. */
#include "results.h"

#include <stdbool.h>

/* A box within half a pixel of the frame belongs to an object that may go on outside. */
static bool touches_border(const struct detection *item, const struct results_image *image)
{
    return item->box.x0 < 0.5f || item->box.y0 < 0.5f || item->box.x1 > (float)image->width - 0.5f ||
           item->box.y1 > (float)image->height - 0.5f;
}

void results_append_header(struct buffer *out)
{
    buffer_append_text(out, "image,id,class,score,probability,x0,y0,x1,y1,cx,cy,area_px,area_um2,touches_border\n");
}

void results_append_detections(struct buffer *out, const struct results_image *image, const struct detection_list *list,
                               const struct model_info *info)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct detection *item = &list->items[i];
        double area = detection_area(item, list->ray_count);
        buffer_append_csv(out, image->name);
        buffer_printf(out, ",%zu,", i + 1);
        buffer_append_csv(out, info->class_names[item->class_index]);
        buffer_printf(out, ",%.4f,%.4f,%.2f,%.2f,%.2f,%.2f,%.2f,%.2f,%.1f,", item->score, item->probability, item->box.x0,
                      item->box.y0, item->box.x1, item->box.y1, (item->box.x0 + item->box.x1) / 2,
                      (item->box.y0 + item->box.y1) / 2, area);
        if (image->pixel_um > 0)
            buffer_printf(out, "%.3f", area * image->pixel_um * image->pixel_um);
        buffer_printf(out, ",%d\n", touches_border(item, image));
    }
}

static void count_classes(const struct detection_list *list, size_t counts[DETECTION_CLASSES_MAX])
{
    for (int k = 0; k < DETECTION_CLASSES_MAX; k++)
        counts[k] = 0;
    for (size_t i = 0; i < list->count; i++)
        counts[list->items[i].class_index]++;
}

void results_append_counts_header(struct buffer *out, const struct model_info *info)
{
    buffer_append_text(out, "image");
    for (int k = 0; k < info->architecture.classes; k++) {
        buffer_append_text(out, ",");
        buffer_append_csv(out, info->class_names[k]);
    }
    buffer_append_text(out, ",total,unlike_training\n");
}

void results_append_counts(struct buffer *out, const char *image, const struct detection_list *list,
                           const struct model_info *info, const char *shift)
{
    size_t counts[DETECTION_CLASSES_MAX];
    count_classes(list, counts);
    buffer_append_csv(out, image);
    for (int k = 0; k < info->architecture.classes; k++)
        buffer_printf(out, ",%zu", counts[k]);
    buffer_printf(out, ",%zu,%s\n", list->count, shift ? shift : "");
}
